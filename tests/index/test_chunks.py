"""Quantised chunks: as good as the exact vectors, and never out of step with them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_descriptions import description, failure, query_plan
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from processes import ROOT

from captioner.index import Index, chunks, ranking
from captioner.index.chunks import ChunkCache, QuantisedMatrix
from captioner.types import Description, FloatArray, HalfArray, QueryPlan, SearchVectors

NUMBERS = st.floats(-1000, 1000, width=16)


@pytest.fixture(autouse=True)
def few_rescored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rescore few photos, so that chunks decide which."""
    monkeypatch.setattr(ranking, "RESCORED", 40)


# Photos differ most along a few components, as real ones do.
FADING = np.exp(-np.arange(512) / 30)
ROTATIONS = {
    width: np.linalg.qr(np.random.default_rng(width).normal(size=(width, width)))[0]
    for width in (256, 512)
}


def spread(random: np.random.Generator, count: int, width: int) -> FloatArray:
    """Vectors (count, width)."""
    components = random.normal(size=(count, width)) * FADING[:width]
    return (components @ ROTATIONS[width]).astype(np.float32)


def photos(count: int, first: int = 0) -> list[Description]:
    random = np.random.default_rng(first)
    joint = spread(random, count, 256)
    joint /= np.linalg.norm(joint, axis=1, keepdims=True)
    words = 1 + spread(random, count, 512)
    return [
        description(f"{first + number:05}", joint=joint[number], words=words[number])
        for number in range(count)
    ]


def plan_for(seed: int) -> QueryPlan:
    random = np.random.default_rng(seed)
    return query_plan(random.normal(size=256), random.normal(size=512) / 20)


def built(path: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT run, model_id FROM sketches ORDER BY run").fetchall()


def check_in_step(path: Path) -> None:
    """Every stored chunk agrees with the vectors of its photos."""
    with sqlite3.connect(path) as connection:
        for row, number, model_id in connection.execute("SELECT id, run, model_id FROM sketches"):
            stored = chunks._from_row(connection, row)
            exact = chunks._from_vectors(connection, number, model_id)
            assert exact is not None
            np.testing.assert_array_equal(stored.photos, exact.photos)
            again = exact.quantise()
            for one, other in ((stored.joint, again.joint), (stored.words, again.words)):
                identity = np.eye(one.basis.shape[1], dtype=np.float32)
                step = np.abs(other.basis[1:]).max()
                np.testing.assert_allclose(one.dot(identity), other.dot(identity), atol=2 * step)


@given(arrays(np.float16, st.tuples(st.integers(1, 9), st.integers(1, 6)), elements=NUMBERS))
def test_with_all_components_the_error_is_half_a_step_of_each(vectors: HalfArray) -> None:
    matrix = QuantisedMatrix.fit(vectors, vectors.shape[1])
    error = matrix.dot(np.eye(vectors.shape[1], dtype=np.float32)) - vectors
    most = 0.5 * np.linalg.norm(matrix.basis[1:])
    assert (np.linalg.norm(error, axis=1) <= 1.01 * most + 1e-3).all()


def test_few_components_are_the_principal_ones() -> None:
    vectors = 3 + spread(np.random.default_rng(0), 1000, 256)
    matrix = QuantisedMatrix.fit(vectors, 40)
    assert matrix.codes.shape == (1000, 40)
    error = matrix.dot(np.eye(256, dtype=np.float32)) - vectors
    left_out = (FADING[40:256] ** 2).sum()
    assert (error**2).sum(axis=1).mean() < 1.1 * left_out


@pytest.mark.parametrize("count", [1, 2047, 2048, 2049, 5000])
def test_matrices_of_any_number_of_rows_are_multiplied(count: int) -> None:
    random = np.random.default_rng(count)
    vectors = random.normal(size=(count, 8)).astype(np.float16)
    directions = random.normal(size=(8, 3)).astype(np.float32)
    exact = vectors.astype(np.float32) @ directions
    matrix = QuantisedMatrix.fit(vectors, 8)
    np.testing.assert_allclose(matrix.dot(directions), exact, atol=0.3)
    assert matrix.dot(directions[:, :0]).shape == (count, 0)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed index of a chunk and a quarter."""
    path = tmp_path_factory.mktemp("many") / "captioner.db"
    with Index.open(path, write=True) as index:
        for first in range(0, 10000, 1000):
            index.store(photos(1000, first), "m")
    return path


def test_the_best_are_those_of_the_exact_vectors(many: Path) -> None:
    assert built(many) == [(0, "m"), (1, "m")]
    stored = [each for first in range(0, 10000, 1000) for each in photos(1000, first)]
    vectors = SearchVectors(
        np.stack([each.vectors.embedding for each in stored]),
        np.stack([each.vectors.word_hidden for each in stored]),
    )
    with Index.open(many) as index:
        for plan in map(plan_for, range(20)):
            best = np.argsort(-plan.measures(vectors)[:, 0])[:10]
            hits = index.search("unicorn", planner=lambda query, plan=plan: plan, model_id="m")
            assert [hit.path for hit in hits] == [f"/photos/{number:05}" for number in best]
            wanted = plan.joint_directions[:, 0].astype(np.float16)
            near = np.argsort(-(vectors.embedding.astype(np.float32) @ wanted.astype(np.float32)))[
                :10
            ]
            hits = index.similar(wanted, "m")
            assert [hit.path for hit in hits] == [f"/photos/{number:05}" for number in near]


def test_without_chunks_the_same_is_found(many: Path, tmp_path: Path) -> None:
    bare = tmp_path / "captioner.db"
    with sqlite3.connect(many) as connection, sqlite3.connect(bare) as other:
        connection.backup(other)
        other.execute("DELETE FROM sketches WHERE run = 0")
    with Index.open(many) as index, Index.open(bare) as without:
        for plan in map(plan_for, range(5)):
            found, same = (
                each.search("x", planner=lambda query, plan=plan: plan, model_id="m")
                for each in (index, without)
            )
            assert [hit.path for hit in found] == [hit.path for hit in same]
            # Scores depend on standard deviations, which chunks give approximately.
            np.testing.assert_allclose(
                [hit.score for hit in found], [hit.score for hit in same], atol=0.01
            )
    assert built(bare) == [(1, "m")]
    with Index.open(bare, write=True):
        pass
    assert built(bare) == [(0, "m"), (1, "m")]


def test_a_chunk_is_built_when_it_is_full_and_the_rest_on_closing(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store(photos(8000), "m")
        assert built(path) == []
        index.store(photos(1000, 8000), "m")
        assert built(path) == [(0, "m")]
    assert built(path) == [(0, "m"), (1, "m")]
    check_in_step(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE vectors SET joint = zeroblob(4) WHERE photo = 2",
        "DELETE FROM vectors WHERE photo = 3",
        "DELETE FROM photos WHERE id = 4",
        "INSERT OR REPLACE INTO vectors VALUES (2, 'm', zeroblob(4), zeroblob(4))",
    ],
)
def test_any_change_of_a_vector_invalidates_its_chunk(tmp_path: Path, change: str) -> None:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store([description(name) for name in "abcde"], "m")
    assert built(path) == [(0, "m")]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(change)
    assert built(path) == []


def test_a_search_sees_what_was_stored_since_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"

    def names(index: Index) -> list[str]:
        hits = index.search("x", planner=lambda query: query_plan((0, 1), (0, 0)), model_id="m")
        return [Path(hit.path).name for hit in hits]

    with Index.open(path, write=True) as index:
        index.store([description("a", joint=(0.6, 0.8)), description("b", joint=(1, 0))], "m")
    with Index.open(path) as reader:
        assert names(reader) == ["a", "b"]
        with Index.open(path, write=True) as index:
            index.store([description("b", joint=(0, 1)), description("c", joint=(-1, 0))], "m")
            assert names(reader) == ["b", "a", "c"]
        assert names(reader) == ["b", "a", "c"]
        with Index.open(path, write=True) as index:
            index.store([failure("a")], "m")
        assert names(reader) == ["b", "c"]


def test_each_model_has_its_own_chunks(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store([description("a", joint=(0, 1)), description("b", joint=(0, 1))], "m")
        index.store([description("c", joint=(0, 1, 0), words=(1,))], "other")
    assert built(path) == [(0, "m"), (0, "other")]
    with sqlite3.connect(path) as connection:
        for model_id, widths, count in [("m", (2, 2), 2), ("other", (3, 1), 1), ("new", (4, 4), 0)]:
            plan = query_plan(*map(np.ones, widths))
            ids, measures = ChunkCache().measure_all(connection, model_id, plan)
            assert (len(ids), measures.shape) == (count, (count, 1))


STORE = """
import sys
from pathlib import Path
from test_chunks import photos
from captioner.index import Index
with Index.open(Path(sys.argv[1]), write=True) as index:
    for turn in range(100):
        for first in (8000, 0, 2000):
            index.store(photos(300, first), "m")
            print("stored", flush=True)
"""


def test_a_writer_that_is_killed_leaves_all_in_step(tmp_path: Path) -> None:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store(photos(9000), "m")
    random = np.random.default_rng(1)
    for _ in range(int(os.environ.get("CAPTIONER_TEST_KILLS", "3"))):
        writer = subprocess.Popen(
            [sys.executable, "-c", STORE, path],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )
        assert writer.stdout
        for _ in range(random.integers(1, 4)):
            writer.stdout.readline()
        try:
            writer.wait(float(random.uniform(0, 0.2)))
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        writer.communicate()
        check_in_step(path)
        with Index.open(path, write=True):
            pass  # builds what is missing
        check_in_step(path)
        assert built(path) == [(0, "m"), (1, "m")]
