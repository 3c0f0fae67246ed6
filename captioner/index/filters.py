"""Search filters: by folder, date, camera, place and keyword."""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from captioner.errors import UsageError
from captioner.index.database import Ids, path_key, range_below, select_ids
from captioner.index.normalisation import normalise_keyword

EARTH_RADIUS = 6371.0088
"""Mean, kilometres."""

_MODEL_WORDS = """
    WITH RECURSIVE known_words (word) AS (
        SELECT min(word COLLATE NOCASE) FROM keywords
        UNION ALL
        SELECT (SELECT min(next.word COLLATE NOCASE) FROM keywords AS next
            WHERE next.word > known_words.word COLLATE NOCASE)
        FROM known_words WHERE word IS NOT NULL
    )
"""
"""The distinct keywords of all photos (a loose index scan: one step per word)."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


class Circle(NamedTuple):
    """All positions within a radius of one."""

    latitude: float
    longitude: float
    kilometres: float

    def contains(self, latitude: float, longitude: float) -> bool:
        """Whether a place, in degrees, is within the great-circle distance (haversine)."""
        north, own = math.radians(latitude), math.radians(self.latitude)
        east = math.radians(longitude - self.longitude)
        chord = (
            math.sin((north - own) / 2) ** 2
            + math.cos(north) * math.cos(own) * math.sin(east / 2) ** 2
        )
        return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(chord))) <= self.kilometres


@dataclass(frozen=True, slots=True)
class Filters:
    """What photos must match, all of it. A photo without the fact in question does not match."""

    folders: tuple[Path, ...] = ()
    """The photo is in one of these, at any depth."""
    after: str | None = None
    """Taken in or after this year, month or day, by the camera's clock."""
    before: str | None = None
    """Taken before this year, month or day."""
    camera: str | None = None
    """All these words are in the camera's name; in double quotes, it is the whole name."""
    near: Circle | None = None
    keywords: tuple[str, ...] = ()
    """Each is one of the keywords, the model's or human-authored, or part of a hierarchical one
    ("Places|Europe"). Neither case nor accents matter."""
    lens: str | None = None
    """As `camera`, for the lens."""
    confidence: tuple[float, float] | None = None
    """A model's sentence is displayed, and its confidence is in this range; the upper end belongs
    to it only if it is 1."""

    @classmethod
    def parse(
        cls,
        folders: Sequence[Path] | None = None,
        after: str | None = None,
        before: str | None = None,
        camera: str | None = None,
        near: str | None = None,
        keywords: Sequence[str] | None = None,
        lens: str | None = None,
        confidence: str | None = None,
    ) -> Self:
        """Parse filters as they are typed on the command line.

        Raises
        ------
        UsageError
            If a date or place is not one, or no photo could match.
        """
        for text in (after, before):
            if text is not None:
                _check_date(text)
        if after and before and after >= before:
            raise UsageError(
                f"no date is both on or after {after} and before {before}.",
                "Use a later date for --before than for --after.",
            )
        names = (camera or "any", lens or "any", *(keywords or ()))
        if any(not word.strip() for word in names):
            raise UsageError("an empty filter was given.", "Is a shell variable unset?")
        circle = _circle(near) if near else None
        limits = _range(confidence) if confidence else None
        return cls(
            tuple(folders or ()), after, before, camera, circle, tuple(keywords or ()), lens, limits
        )

    def __bool__(self) -> bool:
        """Whether there is any filter."""
        return self != type(self)()

    def statements(self) -> Iterator[tuple[str, list[object]]]:
        """SQL with parameters for each filter, selecting the ids of the photos that match."""
        if self.folders:
            # A range of the index of paths; a LIKE pattern would scan them all.
            ranges = [range_below(path_key(folder)) for folder in self.folders]
            tests = " OR ".join(["path >= ? AND path < ?"] * len(ranges))
            yield f"SELECT id FROM photos WHERE {tests}", [end for ends in ranges for end in ends]
        if self.after:
            yield "SELECT photo FROM facts WHERE taken_at >= ?", [self.after]
        if self.before:
            yield "SELECT photo FROM facts WHERE taken_at < ?", [self.before]
        yield from _name_statements("camera", self.camera or "")
        yield from _name_statements("lens", self.lens or "")
        if self.near:
            degrees = math.degrees(self.near.kilometres / EARTH_RADIUS)
            yield (
                "SELECT photo FROM facts WHERE latitude BETWEEN ? AND ? "
                "AND near(latitude, longitude)",
                [self.near.latitude - degrees, self.near.latitude + degrees],
            )
        for word in self.keywords:
            # A model has a few thousand words: these are normalised, not every photo's.
            yield (
                f"{_MODEL_WORDS} SELECT photo FROM keywords WHERE word COLLATE NOCASE IN "
                "(SELECT word FROM known_words WHERE folded(word) = ?1) UNION "
                "SELECT photo FROM person_keywords WHERE folded = ?1",
                [normalise_keyword(word)],
            )
        if self.confidence:
            least, end = self.confidence
            yield (
                "SELECT photo FROM captions WHERE source = 'model' AND rank = 0 AND score >= ? "
                "AND (score < ? OR (score = 1 AND ? = 1)) AND photo NOT IN "
                "(SELECT photo FROM captions WHERE source = 'person' UNION ALL "
                "SELECT photo FROM facts WHERE caption IS NOT NULL)",
                [least, end, end],
            )

    def select(self, connection: sqlite3.Connection) -> Ids | None:
        """The ids of the photos that match all filters; None if there are none."""
        if self.near:
            connection.create_function("near", 2, self.near.contains, deterministic=True)
        if self.keywords:
            connection.create_function("folded", 1, _normalise, deterministic=True)
        found = None
        for statement, parameters in self.statements():
            some = select_ids(connection, statement, parameters)
            found = some if found is None else np.intersect1d(found, some, assume_unique=True)
        return found


def _name_statements(column: str, name: str) -> Iterator[tuple[str, list[object]]]:
    """SQL for the photos of a camera or lens, by words of its name or by the whole name."""
    if len(name) > 2 and name[0] == name[-1] == '"':
        yield f"SELECT photo FROM facts WHERE {column} = ?", [name[1:-1]]
        return
    for word in name.split():
        pattern = re.sub(r"([\\%_])", r"\\\1", word)
        yield (
            rf"SELECT photo FROM facts WHERE {column} IS NOT NULL AND {column} LIKE ? ESCAPE '\'",
            [f"%{pattern}%"],
        )


def newest_first(connection: sqlite3.Connection) -> Ids:
    """The ids of all photos, by the date they were taken; those without a date last."""
    dated = select_ids(
        connection,
        "SELECT photo FROM facts WHERE taken_at IS NOT NULL ORDER BY taken_at DESC, photo DESC",
    )
    every = select_ids(connection, "SELECT photo FROM texts ORDER BY photo DESC")
    return np.concatenate([dated[np.isin(dated, every)], every[~np.isin(every, dated)]])


def _normalise(word: str | None) -> str | None:
    return None if word is None else normalise_keyword(word)


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


def _range(text: str) -> tuple[float, float]:
    try:
        least, end = map(float, text.split(","))
    except ValueError:
        least = end = math.nan
    if not 0 <= least < end <= 1:
        raise UsageError(
            f"{text!r} is not a range of confidence.", "Write two numbers from 0 to 1: 0.5,0.9."
        )
    return least, end


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
            f"{text!r} is not a latitude, a longitude and a distance.",
            "Write latitude and longitude in degrees and a distance in kilometres: "
            "--near 47.37,8.54,10.",
        )
    return circle
