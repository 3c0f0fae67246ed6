"""Failures: the photos that could not be read, by reason."""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailedPhoto:
    """A photo that could not be read when it was last tried."""

    id: int
    path: str
    """Absolute. If its name is not valid text, `os.fsencode` gives the bytes back."""
    reason: str
    """Completes "cannot read PATH: …" and ends with the remedy where there is one."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The photos that failed for one reason."""

    reason: str
    """Of the first one; others may differ in their numbers."""
    photos: int
    examples: tuple[FailedPhoto, ...]
    """Some of them, by path."""


def kind(reason: str) -> str:
    """A reason without its numbers, by which reasons are grouped."""
    return re.sub(r"\d[\d,.]*", "0", reason)


def groups(connection: sqlite3.Connection, examples: int) -> list[FailureGroup]:
    """The photos that failed and are not missing, the most frequent reason first.

    Parameters
    ----------
    examples
        Photos in each group, at most.
    """
    counts: dict[str, int] = {}
    first: dict[str, list[FailedPhoto]] = {}
    for number, path, reason in connection.execute(
        "SELECT id, path, coalesce(reason, '') FROM photos "
        "WHERE status = 'failed' AND missing_since IS NULL ORDER BY path"
    ):
        found = kind(reason)
        counts[found] = counts.get(found, 0) + 1
        if len(some := first.setdefault(found, [])) < examples:
            some.append(FailedPhoto(number, os.fsdecode(path), reason))
    return [
        FailureGroup(first[found][0].reason, counts[found], tuple(first[found]))
        for found in sorted(counts, key=lambda one: (-counts[one], one))
    ]
