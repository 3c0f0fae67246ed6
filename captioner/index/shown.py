"""The caption that is shown for a photo: the one place that decides which of its texts that is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from captioner.types import keyword_text

Kind = Literal["sentence", "keywords"]
Source = Literal["person", "model"]
Stored = tuple[str, Source, float | None]
"""A caption in the index: its text, its source, and a model's confidence in it."""

IN_ORDER = "source = 'person' DESC, rank"
"""SQL order of a photo's captions: a person's before the model's, which come best first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A caption, and where it comes from."""

    text: str
    """Empty if there is none."""
    kind: Kind | None
    """What it is: keywords if the model trusts no sentence; None if there is nothing."""
    source: Source | None
    """Who wrote it; None if there is nothing."""
    confidence: float | None
    """How likely a model's sentence is to fit, 0 to 1; None for anything else."""


def choose(stored: Sequence[Stored], in_file: str | None, keywords: Iterable[str]) -> Shown:
    """The caption to show.

    A person's own words come first: those in the index, then those in the photo's file or a
    sidecar. Then comes the model's best sentence, and last its keywords.

    Parameters
    ----------
    stored
        The captions in the index, `IN_ORDER`.
    in_file
        The caption in the photo's file or a sidecar.
    keywords
        The model's, most probable first.
    """
    if in_file and (not stored or stored[0][1] != "person"):
        return Shown(in_file, "sentence", "person", None)
    if stored:
        text, source, confidence = stored[0]
        return Shown(text, "sentence", source, confidence)
    words = keyword_text(keywords)
    return Shown(words, "keywords", "model", None) if words else Shown("", None, None, None)


def of(connection: sqlite3.Connection, photos: Iterable[int]) -> dict[int, Shown]:
    """The captions to show for some photos, by their ids."""
    wanted = list(photos)
    some = json.dumps(wanted)
    stored: dict[int, list[Stored]] = {}
    for photo, text, source, confidence in connection.execute(
        "SELECT photo, text, source, round(score, 4) FROM captions "
        f"WHERE photo IN (SELECT value FROM json_each(?)) ORDER BY photo, {IN_ORDER}",
        [some],
    ):
        stored.setdefault(photo, []).append((text, source, confidence))
    in_files = dict(
        connection.execute(
            "SELECT photo, caption FROM facts WHERE photo IN (SELECT value FROM json_each(?))",
            [some],
        ).fetchall()
    )
    keywords: dict[int, list[str]] = {}
    for photo, word in connection.execute(
        "SELECT photo, word FROM keywords WHERE photo IN (SELECT value FROM json_each(?)) "
        "ORDER BY photo, probability DESC, word",
        [some],
    ):
        keywords.setdefault(photo, []).append(word)
    return {
        photo: choose(stored.get(photo, ()), in_files.get(photo), keywords.get(photo, ()))
        for photo in wanted
    }
