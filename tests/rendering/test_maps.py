"""Maps of where photos were taken."""

from __future__ import annotations

import re

import pytest

from captioner.rendering import maps


def points(path: str) -> list[list[tuple[float, float]]]:
    """The subpaths of path data."""
    return [
        [(float(x), float(y)) for x, y in map(str.split, part.split("L"))]
        for part in re.findall(r"M([^MZ]+)", path)
    ]


def is_land(path: str, x: float = 0, y: float = 0) -> bool:
    """Whether a point is inside, by the even-odd rule."""
    crossings = 0
    for ring in points(path):
        for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
                crossings += 1
    return crossings % 2 == 1


@pytest.mark.parametrize(
    ("latitude", "longitude", "land"),
    [
        (47.4, 8.5, True),  # Zurich
        (-33.0, 146.0, True),  # Australia
        (64.8, -18.5, True),  # Iceland
        (66.5, 179.5, True),  # Chukotka, west of the date line
        (66.5, -175.5, True),  # and east of it
        (40.0, -40.0, False),  # the Atlantic
        (42.0, 51.0, False),  # the Caspian Sea
        (0.0, 0.0, False),
        (89.9, 0.0, False),
    ],
)
def test_land_and_sea(latitude: float, longitude: float, land: bool) -> None:
    found = maps.place_map(latitude, longitude)
    assert is_land(found.land) is land


@pytest.mark.parametrize("longitude", [179.9, -179.9])
def test_maps_go_beyond_the_date_line(longitude: float) -> None:
    found = maps.place_map(66.0, longitude)
    cosine = 0.4067
    for east in (175.0, 181.0, 187.0):  # land in both hemispheres
        x = (east - (longitude % 360)) * cosine
        assert is_land(found.land, x, -0.5)


def test_nothing_lies_outside_and_little_is_sent() -> None:
    found = maps.place_map(50.0, 10.0)
    assert found.view_box == "-18 -12 36 24"
    for ring in points(found.land):
        assert all(abs(x) <= 18.01 and abs(y) <= 12.01 for x, y in ring)
    assert found.borders
    assert len(found.land) + len(found.borders) < 30_000


def test_coordinates_for_people() -> None:
    assert maps.coordinates(54.91, -8.3) == "54.9100° N, 8.3000° W"
    assert maps.place_map(-1, 2).label == "1.0000° S, 2.0000° E"
