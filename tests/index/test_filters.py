"""Search filters: by date, place, camera, folder and keyword."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_descriptions import description, failure
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import UsageError
from captioner.index import Filters, Index
from captioner.index.filters import Circle
from captioner.types import Facts

KEYWORDS = ("dog", "Beach")
PARIS, SYDNEY, FIJI = (48.8566, 2.3522), (-33.8688, 151.2093), (-17.7134, 178.065)


def at(place: tuple[float, float], **more: Any) -> Facts:
    return Facts(latitude=place[0], longitude=place[1], **more)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    photos = {
        "2023/paris.jpg": at(PARIS, taken_at="2023-07-14T21:00:00", camera="Canon EOS R6"),
        "2024/sydney.jpg": at(SYDNEY, taken_at="2024-05-06T07:08:09", camera="Apple iPhone 15"),
        "2024/fiji.jpg": at(FIJI, taken_at="2024-05-31T23:59:59", keywords=("Family trip", "Sea")),
        "2024%/undated.jpg": Facts(camera="100%_Camera"),
        "plain.jpg": Facts(),
    }
    with Index.open(tmp_path_factory.mktemp("index") / "captioner.db", write=True) as index:
        index.store(
            [
                replace(
                    description(name, "A dog.", keywords=["dog", "Beach"][:number]), facts=facts
                )
                for number, (name, facts) in enumerate(photos.items())
            ],
            "m",
        )
        index.store([failure("2024/broken.jpg")], "m")
        yield index


def found(index: Index, **asked: Any) -> list[str]:
    hits = index.newest(filters=Filters.parse(**asked))
    assert all(hit.score is None for hit in hits)
    return [Path(hit.path).stem for hit in hits]


def test_without_filters_the_newest_come_first_and_undated_ones_last(index: Index) -> None:
    assert not Filters()
    assert found(index) == ["fiji", "sydney", "paris", "plain", "undated"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"after": "2024"}, ["fiji", "sydney"]),
        ({"after": "2024-05-07"}, ["fiji"]),
        ({"before": "2024"}, ["paris"]),
        ({"before": "2024-05-31"}, ["sydney", "paris"]),
        ({"after": "2024-05-06", "before": "2024-05-07"}, ["sydney"]),
        ({"after": "2025"}, []),
        ({"camera": "canon r6"}, ["paris"]),
        ({"camera": "%"}, ["undated"]),
        ({"camera": "_"}, ["undated"]),
        ({"near": "48.8,2.3,20"}, ["paris"]),
        ({"near": "-33.8688,151.2093,0.001"}, ["sydney"]),
        ({"near": "-17,-179.9,250"}, ["fiji"]),
        ({"near": "90,0,20038"}, ["fiji", "sydney", "paris"]),
        ({"folders": [Path("/photos/2024")]}, ["fiji", "sydney"]),
        ({"folders": [Path("/photos/2024/"), Path("/photos/2023")]}, ["fiji", "sydney", "paris"]),
        ({"folders": [Path("/")], "after": "2024-05-31"}, ["fiji"]),
        ({"folders": [Path("/photos/202")]}, []),
        ({"keywords": ["DOG"]}, ["fiji", "sydney", "plain", "undated"]),
        ({"keywords": ["dog", "beach"]}, ["fiji", "plain", "undated"]),
        ({"keywords": ["family trip"]}, ["fiji"]),
        ({"keywords": ["do"]}, []),
        ({"camera": '"Canon EOS R6"'}, ["paris"]),
        ({"camera": '"Canon EOS R"'}, []),
        ({"confidence": "0.5,0.6"}, ["fiji", "sydney", "paris", "plain", "undated"]),
        ({"confidence": "0.4,0.5"}, []),
    ],
)
def test_each_keeps_what_matches(index: Index, asked: dict[str, Any], names: list[str]) -> None:
    assert found(index, **asked) == names


def test_filters_combine_with_a_query_and_with_similarity(index: Index) -> None:
    filters = Filters.parse(after="2024", camera="iphone")
    for hits in (
        index.search("dog", filters=filters),
        index.search("dog", exact=True, filters=filters),
        index.similar(np.array([1, 0], np.float16), "m", filters=filters),
    ):
        assert [Path(hit.path).stem for hit in hits] == ["sydney"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"after": "May"}, "'May' is not a date"),
        ({"after": "2024-13"}, "is not a date"),
        ({"before": "2023-02-29"}, "is not a date"),
        ({"before": "24"}, "is not a date"),
        ({"after": "2024", "before": "2024"}, "no date is both"),
        ({"near": "48.8,2.3"}, "is not a latitude"),
        ({"near": "91,0,1"}, "is not a latitude"),
        ({"near": "0,0,nan"}, "is not a latitude"),
        ({"near": "0,0,-1"}, "is not a latitude"),
        ({"near": "here"}, "is not a latitude"),
        ({"camera": " "}, "an empty filter"),
        ({"lens": " "}, "an empty filter"),
        ({"confidence": "0.5"}, "is not a range of confidence"),
        ({"confidence": "0.9,0.5"}, "is not a range of confidence"),
        ({"confidence": "0,nan"}, "is not a range of confidence"),
        ({"keywords": [""]}, "an empty filter"),
    ],
)
def test_invalid_filters_are_usage_errors(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Filters.parse(**asked)


ANGLES = st.floats(-180, 180)
UPWARD = st.floats(-90, 90)


@given(UPWARD, ANGLES, UPWARD, ANGLES)
def test_a_circle_contains_what_is_within_the_great_circle_distance(
    latitude: float, longitude: float, north: float, east: float
) -> None:
    def unit(latitude: float, longitude: float) -> np.ndarray[Any, Any]:
        up, around = np.radians([latitude, longitude])
        return np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])

    chord = np.linalg.norm(unit(latitude, longitude) - unit(north, east))
    distance = 2 * 6371.0088 * np.arcsin(min(1, chord / 2))
    slack = 0.01 if distance < 20_000 else 1
    assert Circle(latitude, longitude, distance + slack).contains(north, east)
    if distance > 2 * slack:
        assert not Circle(latitude, longitude, distance - slack).contains(north, east)
