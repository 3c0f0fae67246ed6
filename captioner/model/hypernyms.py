"""Hypernyms of concepts: what a concept is a kind of, as WordNet has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def concepts_below(table: Mapping[str, Any]) -> list[set[int]]:
    """The concepts below each hypernym: the transitive closure of the table's parents.

    Parameters
    ----------
    table
        The content of a bundle's `concepts.json`: `concepts`, and their hypernyms as `kinds`, each
        with its `parents` as numbers in `kinds`. A hypernym comes after its children.

    Returns
    -------
    For each hypernym the rows of its concepts.
    """
    below: list[set[int]] = [set() for _ in table["kinds"]]
    for row, concept in enumerate(table["concepts"]):
        for parent in concept["parents"]:
            below[parent].add(row)
    for number, hypernym in enumerate(table["kinds"]):
        for parent in hypernym["parents"]:
            below[parent] |= below[number]
    return below
