"""Distributions of photos: each number is that of the photos that the matching filter finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_descriptions import description, failure

from captioner.index import Distributions, Filters, Index
from captioner.index.distributions import CONFIDENCE_BINS
from captioner.types import Caption, Facts

ZURICH, NEARBY, SYDNEY = (47.3769, 8.5417), (47.4582, 8.5555), (-33.8688, 151.2093)
PHOTOS = {
    "trips/2021/a.jpg": (0.97, Facts("2021-06-01T10:00:00", camera="Canon EOS R", lens="EF 50mm")),
    "trips/2023/b.jpg": (1.0, Facts("2023-06-30T10:00:00", camera="Canon EOS R6", lens="RF 50mm")),
    "trips/2023/c.jpg": (0.12, Facts("2023-06-02T10:00:00", camera="Canon EOS R6", lens="EF 50mm")),
    "home/d.jpg": (0.1, Facts("2023-07-01T10:00:00", latitude=ZURICH[0], longitude=ZURICH[1])),
    "home/e.jpg": (0.3, Facts(latitude=NEARBY[0], longitude=NEARBY[1], caption="Our own words.")),
    "f.jpg": (0.5, Facts(latitude=SYDNEY[0], longitude=SYDNEY[1])),
    "gone.jpg": (0.5, Facts("2021-06-01T10:00:00", camera="Canon EOS R", lens="EF 50mm")),
}
KEYWORDS = {"trips/2021/a.jpg": ["dog"], "f.jpg": ["Dog", "sea"], "gone.jpg": ["dog", "snow"]}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("index") / "captioner.db"
    with Index.open(path, write=True) as opened:
        opened.store(
            [
                replace(
                    description(name, keywords=KEYWORDS.get(name, ())),
                    captions=(Caption("A dog.", confidence, -9.0),),
                    facts=facts,
                )
                for name, (confidence, facts) in PHOTOS.items()
            ],
            "m",
        )
        opened.store([failure("broken.jpg")], "m")
        with sqlite3.connect(path) as other:
            other.execute("INSERT INTO roots VALUES (?), (?)", [b"/photos", b"/photos/trips"])
            other.execute(
                "UPDATE photos SET missing_since = '2026-01-01', missing_reason = 'gone' "
                "WHERE path = ?",
                [b"/photos/gone.jpg"],
            )
        other.close()
        yield opened


def found(index: Index, filters: Filters) -> int:
    return len(index.newest(limit=100, filters=filters))


def test_counts(index: Index) -> None:
    made = index.distributions()
    assert made.photos == 6
    assert dict(made.months) == {"2021-06": 1, "2023-06": 2, "2023-07": 1}
    assert made.years == {"2021": 1, "2022": 0, "2023": 3}
    assert dict(made.keywords) == {"Dog": 2, "sea": 1}
    assert dict(made.folders) == {"/photos/trips": 3, "/photos/home": 2, "/photos": 1}
    assert sum(made.confidence) == 5  # not the one that a person captioned
    assert made.confidence[-1] == 2


def test_each_number_is_what_its_filter_finds(index: Index) -> None:
    made = index.distributions()
    for camera, number in made.cameras.items():
        assert found(index, Filters(camera=f'"{camera}"')) == number
    for lens, number in made.lenses.items():
        assert found(index, Filters(lens=f'"{lens}"')) == number
    for keyword, number in made.keywords.items():
        assert found(index, Filters(keywords=(keyword,))) == number
    for bin_, number in enumerate(made.confidence):
        limits = bin_ / CONFIDENCE_BINS, (bin_ + 1) / CONFIDENCE_BINS
        assert found(index, Filters(confidence=limits)) == number
    for folder, number in made.folders.items():
        if folder != "/photos":
            assert found(index, Filters((Path(folder),))) == number
    for year, number in made.years.items():
        assert found(index, Filters(after=year, before=str(int(year) + 1))) == number


def test_each_place_has_a_circle_around_its_photos(index: Index) -> None:
    near, far = index.distributions().places
    assert (near.photos, far.photos) == (2, 1)
    assert near.kilometres < 10
    for place in (near, far):
        circle = f"{place.latitude},{place.longitude},{place.kilometres}"
        assert found(index, Filters.parse(near=circle)) == place.photos


def test_words_of_a_camera_find_more_than_its_whole_name(index: Index) -> None:
    assert found(index, Filters(camera="eos r")) == 3
    assert found(index, Filters(camera='"Canon EOS R"')) == 1
    assert found(index, Filters(lens="50mm EF")) == 2


def test_an_empty_index_has_nothing_to_count(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as opened:
        made = opened.distributions()
    assert made.years == {}
    assert (made.photos, sum(made.confidence), made.places) == (0, 0, ())


def test_those_of_several_indexes_add_up(index: Index) -> None:
    one = index.distributions()
    both = Distributions.combined([one, one])
    assert both.photos == 2 * one.photos
    assert both.years == {year: 2 * number for year, number in one.years.items()}
    assert both.cameras == {camera: 2 * number for camera, number in one.cameras.items()}
    assert both.keywords == {word: 2 * number for word, number in one.keywords.items()}
    assert both.confidence == tuple(2 * number for number in one.confidence)
    assert sum(place.photos for place in both.places) == 2 * 3
    assert Distributions.combined([one]) is one
