"""Several indexes searched as one: the hits, and their order, of one index with all photos."""

from __future__ import annotations

import json
from pathlib import Path

import fake_descriptions
import numpy as np
import pytest
from typer.testing import CliRunner

from captioner.cli.app import app
from captioner.index import Filters, Index
from captioner.search import Advice, SearchResults, search, similar
from captioner.types import Description, Facts, Failure, Photo, QueryPlan

MODEL_ID = "model"
WORDS = ("dog", "cat", "tree")
NO_BUNDLE = Path("unused")


def planner(query: str) -> QueryPlan | None:
    """Knows three words: the first directions of the joint space, and of the word head."""
    known = [row for row, word in enumerate(WORDS) if word in query.split()]
    if not known:
        return None
    joint = np.eye(8)[known].sum(axis=0)
    return QueryPlan(
        np.array([joint], np.float32).T,
        np.array([np.eye(4)[known].sum(axis=0)], np.float32).T,
        lambda cosine, logit: np.hstack([cosine, 2 * logit]),
        np.array([0.7, 0.3], np.float32),
        lambda measures: measures.sum(axis=1),
    )


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("captioner.model.query.load_planner", lambda bundle: (MODEL_ID, planner))


def photos(number: int) -> list[Description]:
    """Photos of three kinds, the first shard's quite unlike the second's."""
    random = np.random.default_rng(3)
    made = []
    for at in range(number):
        joint = random.normal(size=8) + (at < number // 3) * np.array([2, 1, 0, 0, 0, 0, 0, 0])
        described = fake_descriptions.description(
            f"{at:03}.jpg",
            f"A {WORDS[at % 3]} number {at}.",
            joint=joint / np.linalg.norm(joint),
            words=random.normal(size=4) * (1 + (at < number // 3)),
        )
        made.append(described)
    return made


def one(name: str, text: str = "A dog runs.", **options: bytes) -> Description:
    return fake_descriptions.description(
        name, text, joint=np.eye(8)[0], words=np.zeros(4), **options
    )


def index(path: Path, described: list[Description]) -> Index:
    with Index.open(path, write=True) as opened:
        opened.store(described, MODEL_ID, "encoder")
    return Index.open(path)


def found(results: SearchResults | Failure) -> list[str]:
    assert isinstance(results, SearchResults)
    return [hit.path for hit in results.hits]


def scores(results: SearchResults | Failure) -> list[float]:
    assert isinstance(results, SearchResults)
    return [hit.score or 0.0 for hit in results.hits]


@pytest.mark.parametrize("query", ["dog", "cat tree", "dog -cat", "tree number"])
def test_shards_rank_as_one_index(tmp_path: Path, query: str) -> None:
    described = photos(90)
    whole = index(tmp_path / "whole.db", described)
    shards = [index(tmp_path / "a.db", described[:30]), index(tmp_path / "b.db", described[30:])]
    alone = search(whole, query, limit=20, min_score=0)
    together = search(shards, query, limit=20, min_score=0)
    assert len(found(together)) == 20
    assert found(together) == found(alone)
    np.testing.assert_allclose(scores(together), scores(alone), atol=0.1)  # smoothed over fewer
    assert isinstance(together, SearchResults)
    names = {hit.path: Path(str(hit.database)).name for hit in together.hits}
    assert set(names.values()) == {"a.db", "b.db"}
    assert all((name == "a.db") == (path < "/photos/030") for path, name in names.items())


def test_similar_photos_are_found_in_all(tmp_path: Path) -> None:
    described = photos(90)
    whole = index(tmp_path / "whole.db", described)
    shards = [index(tmp_path / "a.db", described[:30]), index(tmp_path / "b.db", described[30:])]
    photo = Path("/photos/040.jpg")

    def describe(photo: Photo) -> Failure:
        raise AssertionError("it is in an index")

    together = similar(shards, photo, describe, limit=15)
    assert found(together) == found(similar(whole, photo, describe, limit=15))
    assert str(photo) not in found(together)


def test_copies_in_several_indexes_are_one_hit(tmp_path: Path) -> None:
    same = b"same".ljust(20)
    shards = [
        index(
            tmp_path / f"{name}.db",
            [one(f"{name}/x.jpg", "A dog.", content_hash=same)],
        )
        for name in ("a", "b")
    ]
    results = search(shards, "dog", min_score=0)
    assert isinstance(results, SearchResults)
    [hit] = results.hits
    assert (hit.path, hit.copies) == ("/photos/a/x.jpg", ("/photos/b/x.jpg",))


def test_the_newest_of_all_come_first(tmp_path: Path) -> None:
    def taken(name: str, at: str | None) -> Description:
        described = one(name)
        object.__setattr__(described, "facts", Facts(taken_at=at))
        return described

    shards = [
        index(tmp_path / "a.db", [taken("1.jpg", "2020-01-01T00:00:00"), taken("0.jpg", None)]),
        index(tmp_path / "b.db", [taken("2.jpg", "2021-01-01T00:00:00"), taken("3.jpg", "2019")]),
    ]
    assert [path[-5:] for path in found(search(shards))] == ["2.jpg", "1.jpg", "3.jpg", "0.jpg"]
    assert len(found(search(shards, limit=2))) == 2


def test_a_word_that_one_of_them_knows_is_not_respelled(tmp_path: Path) -> None:
    shards = [
        index(tmp_path / "a.db", [one("a.jpg", "A zebras walk.")]),
        index(tmp_path / "b.db", [one("b.jpg", "Zebrano wood.")]),
    ]
    results = search(shards, "zebrano", min_score=0)
    assert isinstance(results, SearchResults)
    assert not results.respelled
    assert found(results)[0] == "/photos/b.jpg"
    results = search(shards, "zebrana", min_score=0)
    assert isinstance(results, SearchResults)
    assert results.respelled


def test_advice_is_about_all_of_them(tmp_path: Path) -> None:
    shards = [index(tmp_path / "a.db", []), index(tmp_path / "b.db", photos(3))]
    results = search(shards, "xylophone", min_score=0.9)
    assert isinstance(results, SearchResults)
    assert results.advice is not Advice.EMPTY_INDEX
    empty = search(shards[:1], "dog")
    assert isinstance(empty, SearchResults)
    assert empty.advice is Advice.EMPTY_INDEX


def test_filters_hold_in_all(tmp_path: Path) -> None:
    described = photos(9)
    shards = [index(tmp_path / "a.db", described[:3]), index(tmp_path / "b.db", described[3:])]
    filters = Filters.parse([Path("/elsewhere")], None, None, None, None, None)
    results = search(shards, "dog", filters=filters)
    assert isinstance(results, SearchResults)
    assert results.advice is Advice.FILTERS


def test_the_command_names_the_database_of_each_hit(tmp_path: Path) -> None:
    words = ["search", "--exact", "dog"]
    for name in ("a", "b"):
        index(tmp_path / f"{name}.db", [one(f"{name}.jpg")]).close()
        words += ["--db", str(tmp_path / f"{name}.db")]
    lines = CliRunner().invoke(app, words).stdout.splitlines()
    assert sorted(line.split("\t")[0::3] for line in lines) == [
        ["/photos/a.jpg", str(tmp_path / "a.db")],
        ["/photos/b.jpg", str(tmp_path / "b.db")],
    ]
    records = CliRunner().invoke(app, [*words, "--json"]).stdout.splitlines()
    assert {json.loads(record)["database"] for record in records} == {words[4], words[6]}
    alone = CliRunner().invoke(app, [*words[:5], "--json"]).stdout
    assert "database" not in json.loads(alone)
