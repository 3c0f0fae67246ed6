"""Descriptions made by hand, rankings that know the answer, figures known beforehand."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.training.corpora import Example
from captioner.training.evaluation import by_order, by_vectors, evaluate
from captioner.training.metrics import Query
from captioner.types import Caption, Description, FloatArray, Keyword, Photo, SearchVectors

pytest.importorskip("pycocoevalcap")

EXAMPLES = [
    Example(Path("a.jpg"), ("A dog runs fast .", "The dog ."), "dev"),
    Example(Path("b.jpg"), ('A sign says " boats " .',), "dev"),
    Example(Path("c.jpg"), ("Nobody described this .",), "dev"),
]


def description(name: str, text: str, axis: int) -> Description:
    joint = np.zeros(256, np.float16)
    joint[axis] = 1
    return Description(
        photo=Photo(Path(name), 1, 1),
        width=4,
        height=3,
        format="JPEG",
        content_hash=b"",
        captions=(Caption(text, 0.5, -9.0), Caption("Not the best one.", 0.1, -10.0)),
        keywords=(Keyword("dog", 0.9),),
        feature=np.zeros(2048, np.float16),
        vectors=SearchVectors(joint, np.zeros(8, np.float16)),
    )


DESCRIPTIONS = [description("b.jpg", "Two boats.", 0), description("a.jpg", "A dog runs fast.", 1)]


def rank(query: str, photos: SearchVectors) -> FloatArray:
    assert '"' not in query
    axis = 1 if "dog" in query else 0
    return photos.joint[:, axis].astype(np.float32)


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def test_all_figures() -> None:
    by_name = lambda query: by_order([1], 2) if query == "dog" else by_order([], 2)  # noqa: E731
    evaluation = evaluate(
        EXAMPLES,
        DESCRIPTIONS,
        by_vectors(rank, DESCRIPTIONS),
        {"search": by_name, "sight": by_vectors(rank, DESCRIPTIONS)},
        {
            "short": [
                Query("dog", frozenset(["a.jpg", "c.jpg"])),
                Query("boat", frozenset(["b.jpg"])),
                Query("nobody", frozenset(["c.jpg"])),
            ]
        },
    )
    assert [example.name for example in evaluation.examples] == ["b.jpg", "a.jpg"]
    assert evaluation.scores.photo_cider["a.jpg"] > evaluation.scores.photo_cider["b.jpg"]
    assert (evaluation.recall.at_1, evaluation.recall.queries) == (100, 3)
    # By name, "boat" finds nothing: its photo counts as the last of two.
    by_name_precision = evaluation.precisions["short"]["search"]
    assert by_name_precision.mean_average == pytest.approx(100 * (1 + 1 / 2) / 2)
    assert by_name_precision.left_out == 1
    assert evaluation.precisions["short"]["sight"].mean_average == pytest.approx(100)
    record = json.loads(json.dumps(evaluation.record()))
    assert record["captions"]["photos"] == 2
    assert record["captions"]["meteor"] is None
    assert record["whole_captions"]["at_1"] == 100
    assert record["queries"]["short"]["search"]["mean_average"] == 75


def test_nothing_described() -> None:
    with pytest.raises(CaptionerError, match="not one photo"):
        evaluate(EXAMPLES, [], lambda query: by_order([], 0), {}, {})


def test_order_as_scores() -> None:
    assert by_order([2, 0], 4).argsort().tolist()[::-1][:2] == [2, 0]
    assert np.isneginf(by_order([2, 0], 4)).tolist() == [False, True, False, True]
