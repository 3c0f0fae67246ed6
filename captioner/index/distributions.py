"""Distributions: how the photos that a search can find spread over time, cameras, folders, places.

For charts. Missing photos, which no search shows, do not count. Every query reads an index, or one
table once, so that 300,000 photos take a second or two.
"""

from __future__ import annotations

import os
import re
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from captioner.index.database import range_below
from captioner.index.filters import EARTH_RADIUS
from captioner.index.missing import roots

CONFIDENCE_BINS = 20
"""Of equal width, from 0 to 1."""
MAX_KEYWORDS = 60
"""The most frequent ones."""
_CELL = 0.25
"""Side of the cells in which positions are counted together, degrees."""
_MIN_KILOMETRES = 0.5
"""Radius of a place at least: positions are rarely more exact than a building."""

_MISSING = "(SELECT id FROM photos WHERE missing_since IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Place:
    """Photos taken near each other: the circle around them, and how many they are."""

    latitude: float
    """Degrees, north positive."""
    longitude: float
    """Degrees, east positive."""
    kilometres: float
    """Radius of a circle that holds all of them."""
    photos: int


@dataclass(frozen=True, slots=True)
class Distributions:
    """Numbers of photos, most frequent first unless something else is said."""

    photos: int
    """Described, and not missing."""
    months: Mapping[str, int]
    """By month taken, "2024-05", the earliest first; months without photos are left out."""
    cameras: Mapping[str, int]
    lenses: Mapping[str, int]
    folders: Mapping[str, int]
    """The folders directly below those that were indexed, with all that is below them. The indexed
    folder itself stands for the photos directly in it, and for all of it if it has no others."""
    keywords: Mapping[str, int]
    """The model's, at most `MAX_KEYWORDS`."""
    confidence: tuple[int, ...]
    """Photos with a model's sentence by its confidence, in `CONFIDENCE_BINS` bins."""
    places: tuple[Place, ...]

    @classmethod
    def combined(cls, parts: Sequence[Distributions]) -> Distributions:
        """Those of several indexes together. Photos that are in more than one count in each."""
        if len(parts) == 1:
            return parts[0]

        def total(*every: Mapping[str, int]) -> Counter[str]:
            found = Counter[str]()
            for one in every:
                found.update(one)
            return found

        places = sorted(
            (place for one in parts for place in one.places), key=lambda place: -place.photos
        )
        return cls(
            photos=sum(one.photos for one in parts),
            months=dict(sorted(total(*(one.months for one in parts)).items())),
            cameras=_most_frequent(total(*(one.cameras for one in parts))),
            lenses=_most_frequent(total(*(one.lenses for one in parts))),
            folders=_most_frequent(total(*(one.folders for one in parts))),
            keywords=_most_frequent(total(*(one.keywords for one in parts)), MAX_KEYWORDS),
            confidence=tuple(map(sum, zip(*(one.confidence for one in parts), strict=True))),
            places=tuple(places),
        )

    @property
    def years(self) -> dict[str, int]:
        """By year taken, the earliest first, years without photos in between included."""
        known: Counter[int] = Counter()
        for month, photos in self.months.items():
            known[int(month[:4])] += photos
        if not known:
            return {}
        return {f"{year:04}": known[year] for year in range(min(known), max(known) + 1)}


def distributions(connection: sqlite3.Connection) -> Distributions:
    """Count the photos of an index in all ways; call within one read transaction."""
    (photos,) = connection.execute(
        "SELECT count(*) FROM photos WHERE status = 'described' AND missing_since IS NULL"
    ).fetchone()
    return Distributions(
        photos=photos,
        months=_months(connection),
        cameras=_most_frequent(_tally(connection, "camera", "facts")),
        lenses=_most_frequent(_tally(connection, "lens", "facts")),
        folders=_folders(connection),
        keywords=_keywords(connection),
        confidence=_confidence(connection),
        places=tuple(_places(connection)),
    )


def _tally(connection: sqlite3.Connection, column: str, table: str) -> Counter[str]:
    """How often each value of a column occurs, without missing photos.

    Counted here: grouping by SQLite takes three times as long. Few photos are missing, so those
    are counted separately and subtracted.
    """
    every = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
    found = Counter(value for (value,) in connection.execute(every))
    found.subtract(value for (value,) in connection.execute(f"{every} AND photo IN {_MISSING}"))
    return found


def _months(connection: sqlite3.Connection) -> dict[str, int]:
    found = _tally(connection, "substr(taken_at, 1, 7)", "facts")
    return {
        month: found[month]
        for month in sorted(found)
        if found[month] > 0 and re.fullmatch(r"\d{4}-\d{2}", month, re.ASCII)
    }


def _most_frequent(counts: Mapping[str, int], limit: int | None = None) -> dict[str, int]:
    ordered = sorted((-number, name) for name, number in counts.items() if number > 0)
    return {name: -number for number, name in ordered[:limit]}


def _keywords(connection: sqlite3.Connection) -> dict[str, int]:
    # In the order of the index of words, where grouping is quick.
    grouped = "SELECT min(word), count(*) FROM keywords {} GROUP BY word COLLATE NOCASE"
    found = dict(connection.execute(grouped.format("")).fetchall())
    missing = Counter[str]()
    for word, number in connection.execute(grouped.format(f"WHERE photo IN {_MISSING}")):
        missing[word.lower()] += number
    present = {word: number - missing[word.lower()] for word, number in found.items()}
    return _most_frequent(present, MAX_KEYWORDS)


def _confidence(connection: sqlite3.Connection) -> tuple[int, ...]:
    # Not of photos for which a person's words are shown instead.
    scores = connection.execute(
        "SELECT score FROM captions WHERE source = 'model' AND rank = 0 AND score IS NOT NULL "
        "AND photo NOT IN (SELECT id FROM photos WHERE missing_since IS NOT NULL UNION ALL "
        "SELECT photo FROM captions WHERE source = 'person' UNION ALL "
        "SELECT photo FROM facts WHERE caption IS NOT NULL)"
    )
    values = np.fromiter((score for (score,) in scores), np.float64)
    bins = np.clip(values * CONFIDENCE_BINS, 0, CONFIDENCE_BINS - 1).astype(np.int64)
    return tuple(np.bincount(bins, minlength=CONFIDENCE_BINS).tolist())


def _folders(connection: sqlite3.Connection) -> dict[str, int]:
    """Photos by the folders directly below the roots.

    Paths are in the order of their bytes, so that each folder's photos come in one piece: its first
    path is looked up, the others are counted by the database.
    """
    # Sorted here: the index of paths would be slower, as it does not have the other columns.
    others = sorted(
        path
        for (path,) in connection.execute(
            "SELECT path FROM photos WHERE missing_since IS NOT NULL OR status != 'described'"
        )
    )
    found: dict[bytes, int] = {}

    def count(folder: bytes, start: bytes, end: bytes) -> None:
        (photos,) = connection.execute(
            "SELECT count(*) FROM photos WHERE path >= ? AND path < ?", [start, end]
        ).fetchone()
        photos -= bisect_left(others, end) - bisect_left(others, start)
        if photos:
            found[folder] = found.get(folder, 0) + photos

    for root, (start, end) in _outermost(roots(connection)):
        separator, first = start[-1:], len(start)
        below = start
        while below < end:
            direct = below
            for (path,) in connection.execute(
                "SELECT path FROM photos WHERE path >= ? AND path < ? ORDER BY path", [below, end]
            ):
                if (at := path.find(separator, first)) >= 0:
                    folder = path[:at]
                    _, below = range_below(folder)
                    count(root, direct, range_below(folder)[0])
                    count(folder, *range_below(folder))
                    break
            else:
                count(root, direct, end)
                below = end
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return {os.fsdecode(folder): photos for folder, photos in ordered}


def _outermost(folders: Iterable[bytes]) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    """The folders that are below no other one, each with the range of the paths below it."""
    last = b""
    for folder, limits in sorted((one, range_below(one)) for one in folders):
        if limits[0] >= last:
            yield folder, limits
            last = limits[1]


def _places(connection: sqlite3.Connection) -> Iterator[Place]:
    """Circles around the photos of each cell of a grid, those with most photos first."""
    rows = connection.execute(
        "SELECT latitude, longitude FROM facts WHERE latitude IS NOT NULL "
        f"AND longitude IS NOT NULL AND photo NOT IN {_MISSING}"
    )
    flat = np.fromiter((degrees for row in rows for degrees in row), np.float64)
    if not len(flat):
        return
    positions = flat.reshape(-1, 2)
    cells = np.floor(positions / _CELL).astype(np.int64)
    order = np.lexsort(cells.T)
    positions, cells = positions[order], cells[order]
    [starts] = np.nonzero(np.append(True, np.any(cells[1:] != cells[:-1], axis=1)))
    least = np.minimum.reduceat(positions, starts)
    most = np.maximum.reduceat(positions, starts)
    counts = np.diff(np.append(starts, len(positions)))
    sides = np.radians(most - least) * EARTH_RADIUS
    nearest_to_equator = np.minimum(np.abs(least[:, 0]), np.abs(most[:, 0]))
    sides[:, 1] *= np.cos(np.radians(np.minimum(nearest_to_equator, 90)))
    # A little more than half the diagonal, against rounding.
    radii = np.maximum(_MIN_KILOMETRES, 1.02 * np.hypot(*sides.T) / 2)
    centres = (least + most) / 2
    for cell in np.argsort(-counts, kind="stable").tolist():
        latitude, longitude = centres[cell].tolist()
        yield Place(latitude, longitude, float(radii[cell]), int(counts[cell]))
