"""Maps: where a photo was taken, as SVG paths of coasts and borders, without any tile server.

`outlines.txt` has the coasts and borders of Natural Earth at 1:110 million (public domain;
naturalearthdata.com), as in world-atlas 2.0.2: one line each, with longitude and latitude in tenths
of degrees. Those of a line that crosses the date line go on beyond 180.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OUTLINES = Path(__file__).with_name("outlines.txt")
WIDTH, HEIGHT = 36.0, 24.0
"""Of a map, in degrees of latitude, so that a kilometre has one length in both directions."""
_MIN_COSINE = 0.17
"""Nearer to the poles than 80 degrees, a map is not stretched further."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlaceMap:
    """A map with a place in its middle: SVG coordinates, x to the east and y to the south."""

    view_box: str
    land: str
    """Path data, to be filled by the even-odd rule."""
    borders: str
    """Path data of lines."""
    label: str
    """The place in numbers, as of `coordinates`."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A coast, which is closed, or a border: longitudes and latitudes in degrees."""

    points: tuple[Point, ...]
    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, points: Sequence[Point]) -> _Line:
        xs, ys = zip(*points, strict=True)
        return cls(tuple(points), min(xs), min(ys), max(xs), max(ys))

    def is_near(self, x: float, y: float, reach_x: float, reach_y: float) -> bool:
        """Whether its bounding box meets that of a map."""
        return (
            self.west <= x + reach_x
            and self.east >= x - reach_x
            and self.south <= y + reach_y
            and self.north >= y - reach_y
        )


@lru_cache(maxsize=32)
def place_map(latitude: float, longitude: float) -> PlaceMap:
    """The map around a place.

    Parameters
    ----------
    latitude, longitude
        Degrees, north and east positive.
    """
    stretch = max(_MIN_COSINE, math.cos(math.radians(latitude)))
    reach = WIDTH / 2 / stretch, HEIGHT / 2

    def near(lines: Iterable[_Line]) -> Iterator[list[Point]]:
        """Lines that may be on the map, in its coordinates; all again beyond the date line."""
        for shift in (-360, 0, 360):
            for line in lines:
                if line.is_near(longitude - shift, latitude, *reach):
                    yield [
                        ((x + shift - longitude) * stretch, latitude - y) for x, y in line.points
                    ]

    coasts, borders = _outlines()
    land = [_path(ring) + "Z" for ring in map(_clip, near(coasts)) if len(ring) > 2]
    lines = [_path(part) for line in near(borders) for part in _within(line)]
    return PlaceMap(
        f"{-WIDTH / 2:g} {-HEIGHT / 2:g} {WIDTH:g} {HEIGHT:g}",
        "".join(land),
        "".join(lines),
        coordinates(latitude, longitude),
    )


def coordinates(latitude: float, longitude: float) -> str:
    """A place for people: "54.9100° N, 8.3100° E"."""
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"


@lru_cache(maxsize=1)
def _outlines() -> tuple[list[_Line], list[_Line]]:
    """All coasts, and all borders."""
    found: dict[str, list[_Line]] = {"land": [], "border": []}
    for text in OUTLINES.read_text("ascii").splitlines():
        kind, *points = text.split()
        pairs = (point.split(",") for point in points)
        found[kind].append(_Line.of([(int(x) / 10, int(y) / 10) for x, y in pairs]))
    return found["land"], found["border"]


def _clip(ring: list[Point]) -> list[Point]:
    """The part of a polygon inside the map (Sutherland and Hodgman, 1974)."""
    for axis, limit in ((0, WIDTH / 2), (0, -WIDTH / 2), (1, HEIGHT / 2), (1, -HEIGHT / 2)):
        ring = list(_clip_side(ring, axis, limit))
    return ring


def _clip_side(ring: Sequence[Point], axis: int, limit: float) -> Iterator[Point]:
    sign = 1 if limit > 0 else -1
    for before, point in zip([*ring[-1:], *ring[:-1]], ring, strict=True):
        was_inside = sign * before[axis] <= sign * limit
        is_inside = sign * point[axis] <= sign * limit
        if was_inside != is_inside:
            share = (limit - before[axis]) / (point[axis] - before[axis])
            yield (
                before[0] + share * (point[0] - before[0]),
                before[1] + share * (point[1] - before[1]),
            )
        if is_inside:
            yield point


def _within(line: Sequence[Point]) -> Iterator[list[Point]]:
    """The parts of a line near the map; the picture cuts off the rest."""
    part: list[Point] = []
    for before, point in itertools.pairwise(line):
        if any(abs(x) <= WIDTH / 2 and abs(y) <= HEIGHT / 2 for x, y in (before, point)):
            part = part or [before]
            part.append(point)
        elif part:
            yield part
            part = []
    if part:
        yield part


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
