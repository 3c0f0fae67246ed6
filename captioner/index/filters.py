"""Filters: which photos a search is about, by what is known of them besides their sight."""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from captioner.errors import UsageError
from captioner.index.database import Ids, ids, path_key
from captioner.index.folding import keyword

EARTH = 6371.0088
"""Mean radius, kilometres."""

_MODEL_WORDS = """
    WITH RECURSIVE known_words (word) AS (
        SELECT min(word COLLATE NOCASE) FROM keywords
        UNION ALL
        SELECT (SELECT min(next.word COLLATE NOCASE) FROM keywords AS next
            WHERE next.word > known_words.word COLLATE NOCASE)
        FROM known_words WHERE word IS NOT NULL
    )
"""
"""The different words of all photos: a step each in the index of words."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


class Circle(NamedTuple):
    """All places within some kilometres of one."""

    latitude: float
    longitude: float
    kilometres: float

    def holds(self, latitude: float, longitude: float) -> bool:
        """Whether a place lies in it, over the shortest way round the globe (haversine)."""
        north, own = math.radians(latitude), math.radians(self.latitude)
        east = math.radians(longitude - self.longitude)
        chord = (
            math.sin((north - own) / 2) ** 2
            + math.cos(north) * math.cos(own) * math.sin(east / 2) ** 2
        )
        return 2 * EARTH * math.asin(min(1.0, math.sqrt(chord))) <= self.kilometres


@dataclass(frozen=True, slots=True)
class Filters:
    """What photos must fulfil, all of it. Where a photo's facts say nothing, it does not."""

    folders: tuple[Path, ...] = ()
    """The photo lies in one of these, however deep."""
    after: str | None = None
    """Taken from the beginning of this year, month or day on, by the camera's clock."""
    before: str | None = None
    """Taken before it began."""
    camera: str | None = None
    """All these words are in the camera's name."""
    near: Circle | None = None
    keywords: tuple[str, ...] = ()
    """Each is among the keywords, the model's or a person's, or part of a hierarchical one
    ("Places|Europe"). Neither case nor accents matter."""

    @classmethod
    def parse(
        cls,
        folders: Sequence[Path] | None = None,
        after: str | None = None,
        before: str | None = None,
        camera: str | None = None,
        near: str | None = None,
        keywords: Sequence[str] | None = None,
    ) -> Self:
        """Filters from what a person typed.

        Raises
        ------
        UsageError
            Where a date or place is none, or no photo could fulfil them.
        """
        for text in (after, before):
            if text is not None:
                _check_date(text)
        if after and before and after >= before:
            raise UsageError(
                f"no photo was taken from {after} on and before {before} began.",
                "Give --before a later date than --after.",
            )
        if any(not word.strip() for word in (camera or "any", *(keywords or ()))):
            raise UsageError("an empty filter was given.", "Is a variable of the shell unset?")
        circle = _circle(near) if near else None
        return cls(tuple(folders or ()), after, before, camera, circle, tuple(keywords or ()))

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return self != type(self)()

    def queries(self) -> Iterator[tuple[str, list[object]]]:
        """For each demand the statement that selects the ids of the photos that fulfil it."""
        if self.folders:
            # A range of the index of paths, in place of a pattern that reads them all.
            ranges = [_below(folder) for folder in self.folders]
            tests = " OR ".join(["path > ? AND path < ?"] * len(ranges))
            yield f"SELECT id FROM photos WHERE {tests}", [end for ends in ranges for end in ends]
        if self.after:
            yield "SELECT photo FROM facts WHERE taken_at >= ?", [self.after]
        if self.before:
            yield "SELECT photo FROM facts WHERE taken_at < ?", [self.before]
        for word in (self.camera or "").split():
            pattern = re.sub(r"([\\%_])", r"\\\1", word)
            yield (
                r"SELECT photo FROM facts WHERE camera IS NOT NULL AND camera LIKE ? ESCAPE '\'",
                [f"%{pattern}%"],
            )
        if self.near:
            degrees = math.degrees(self.near.kilometres / EARTH)
            yield (
                "SELECT photo FROM facts WHERE latitude BETWEEN ? AND ? "
                "AND near(latitude, longitude)",
                [self.near.latitude - degrees, self.near.latitude + degrees],
            )
        for word in self.keywords:
            # A model has a few thousand words: it is these that are folded, not every photo's.
            yield (
                f"{_MODEL_WORDS} SELECT photo FROM keywords WHERE word COLLATE NOCASE IN "
                "(SELECT word FROM known_words WHERE folded(word) = ?1) UNION "
                "SELECT photo FROM person_keywords WHERE folded = ?1",
                [keyword(word)],
            )

    def select(self, connection: sqlite3.Connection) -> Ids | None:
        """The ids of the photos that fulfil all; None where nothing is asked for."""
        if self.near:
            connection.create_function("near", 2, self.near.holds, deterministic=True)
        if self.keywords:
            connection.create_function("folded", 1, _folded, deterministic=True)
        found = None
        for statement, parameters in self.queries():
            some = ids(connection, statement, parameters)
            found = some if found is None else np.intersect1d(found, some, assume_unique=True)
        return found


def newest_first(connection: sqlite3.Connection) -> Ids:
    """The ids of all photos: by when they were taken, those without a date last."""
    dated = ids(
        connection,
        "SELECT photo FROM facts WHERE taken_at IS NOT NULL ORDER BY taken_at DESC, photo DESC",
    )
    every = ids(connection, "SELECT photo FROM texts ORDER BY photo DESC")
    return np.concatenate([dated[np.isin(dated, every)], every[~np.isin(every, dated)]])


def _folded(word: str | None) -> str | None:
    return None if word is None else keyword(word)


def _below(folder: Path) -> tuple[bytes, bytes]:
    """What all paths below a folder lie between."""
    start = path_key(folder).rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
    return start, start[:-1] + bytes([start[-1] + 1])


def _check_date(text: str) -> None:
    try:
        year, month, day = (
            int(part or 1)
            for part in _DATE.fullmatch(text).groups()  # type: ignore[union-attr]
        )
        date(year, month, day)
    except (AttributeError, ValueError):
        raise UsageError(
            f"{text!r} is not a date.", "Write a year, month or day: 2024, 2024-05 or 2024-05-06."
        ) from None


def _circle(text: str) -> Circle:
    try:
        circle = Circle(*map(float, text.split(",")))
    except (TypeError, ValueError):
        circle = Circle(math.nan, math.nan, math.nan)
    if not (
        abs(circle.latitude) <= 90
        and abs(circle.longitude) <= 180
        and 0 < circle.kilometres < math.inf
    ):
        raise UsageError(
            f"{text!r} is not a place and a distance.",
            "Write latitude and longitude in degrees and a distance in kilometres: "
            "--near 47.37,8.54,10.",
        )
    return circle
