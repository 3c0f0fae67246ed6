"""Ranking all photos: the same order as a search that loads the best, without copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fake_descriptions
import numpy as np
import pytest

from captioner import search as searching
from captioner.index import Filters, Index
from captioner.index import search as index_search
from captioner.index.search import ExamplePhoto
from captioner.search import Advice
from captioner.types import Facts, QueryPlan

COUNT = 60


def planner(query: str) -> QueryPlan | None:
    if "dog" not in query:
        return None
    plan = fake_descriptions.query_plan([1, 0], [0, 0])
    return replace(plan, log_odds=lambda measures: measures.sum(axis=1) * 8 - 2)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Photos with vectors all around the circle; each tenth is a copy of the first."""
    monkeypatch.setattr(index_search, "RESCORED", 8)
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as writer:
        writer.store(
            [
                replace(
                    fake_descriptions.description(
                        f"{number:02}.jpg",
                        "A cat sits." if number % 3 else "A dog runs.",
                        joint=(np.cos(number), np.sin(number)),
                        content_hash=bytes(20) if number % 10 == 0 else None,
                    ),
                    facts=Facts(taken_at=f"20{number:02}-0{1 + number % 9}-01T00:00:00"),
                )
                for number in range(COUNT)
            ],
            "m",
        )
    with Index.open(path) as reader:
        yield reader


def test_ranking_of_a_query_is_that_of_the_search(index: Index) -> None:
    ranking = searching.rank(index, "dog", model=("m", planner), min_score=0)
    hits = index.search("dog", planner=planner, model_id="m", limit=8)
    assert ranking.rows[:8].tolist() == [hit.id for hit in hits]
    assert len(ranking.rows) == COUNT - 5  # copies are left out
    assert len(set(ranking.rows.tolist())) == len(ranking.rows)
    assert ranking.scores is not None
    assert (np.diff(ranking.scores) <= 0).all()
    every = index.search("dog", planner=planner, model_id="m", limit=COUNT)
    assert {hit.id for hit in every} == set(ranking.rows.tolist())


def test_threshold_cuts_the_ranking(index: Index) -> None:
    whole = searching.rank(index, "dog", model=("m", planner), min_score=0)
    assert whole.scores is not None
    middle = float(np.sort(whole.scores)[len(whole.scores) // 2])
    part = searching.rank(index, "dog", model=("m", planner), min_score=middle)
    assert part.rows.tolist() == whole.rows[: len(part.rows)].tolist()
    assert 0 < len(part.rows) < len(whole.rows)


def test_ranking_without_a_query_is_the_newest(index: Index) -> None:
    ranking = searching.rank(index)
    assert ranking.rows.tolist() == [hit.id for hit in index.newest(limit=COUNT)]
    assert ranking.scores is None
    months = index.months(ranking.rows)
    assert months[0] == 205906
    assert (np.diff(months) <= 0).all()


def test_ranking_by_an_example_is_that_of_similar(index: Index) -> None:
    vectors = index.vectors(Path("/photos/07.jpg"), "m")
    assert vectors
    example = ExamplePhoto(vectors.embedding, Path("/photos/07.jpg"))
    ranking = searching.rank(index, model=("m", planner), example=example)
    hits = index.similar(vectors.embedding, "m", limit=8, exclude=Path("/photos/07.jpg"))
    assert ranking.rows[:8].tolist() == [hit.id for hit in hits]
    assert 8 not in ranking.rows  # the photo itself
    assert len(ranking.rows) == COUNT - 5 - 1


def test_ranking_obeys_filters_and_minus(index: Index) -> None:
    filters = Filters.parse(after="2030")
    ranking = searching.rank(index, "-dog", model=("m", lambda query: None), filters=filters)
    hits = [hit for hit in index.newest(limit=COUNT, filters=filters) if "cat" in hit.caption]
    assert ranking.rows.tolist() == [hit.id for hit in hits]


def test_exact_ranking_is_by_text_alone(index: Index) -> None:
    ranking = searching.rank(index, "dog", exact=True)
    assert sorted(ranking.rows.tolist()) == sorted(
        hit.id for hit in index.search("dog", exact=True, limit=COUNT)
    )


def test_empty_ranking_says_what_to_try(index: Index) -> None:
    nothing = searching.rank(index, "zebra", model=("m", planner))
    assert (len(nothing.rows), nothing.advice) == (0, Advice.UNKNOWN_WORDS)
    filtered = searching.rank(index, filters=Filters.parse(after="2070"))
    assert (len(filtered.rows), filtered.advice) == (0, Advice.FILTERS)


def test_several_indexes_are_ranked_as_one(index: Index) -> None:
    ranking = searching.rank([index, index], "dog", model=("m", planner), min_score=0)
    one = searching.rank(index, "dog", model=("m", planner), min_score=0)
    assert ranking.rows[::2].tolist() == one.rows.tolist()
    assert ranking.positions[:4].tolist() == [0, 1, 0, 1]


def test_new_copies_are_noticed(index: Index) -> None:
    before = searching.rank(index)
    with Index.open(index.path, write=True) as writer:
        writer.store([fake_descriptions.description("99.jpg", content_hash=bytes(20))], "m")
    after = searching.rank(index)
    assert len(after.rows) == len(before.rows)
