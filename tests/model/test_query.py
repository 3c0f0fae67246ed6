"""Queries of several terms: the evidence of stems, concepts and hypernyms, fused."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.concepts import Concepts
from captioner.model.heads import JointSpace, WordHead
from captioner.model.query import planner, score_all
from captioner.types import SearchVectors

TABLE = {
    "concepts": [
        {"name": "zebra", "names": ["zebra"], "parents": [0]},
        {"name": "pug", "names": ["pug", "pug-dog"], "parents": [1]},
        {"name": "beagle", "names": ["beagle"], "parents": [1]},
    ],
    "kinds": [
        {"names": ["equine"], "parents": [2]},
        {"names": ["dog"], "parents": [2]},
        {"names": ["animal"], "parents": []},
    ],
}
COLUMNS = ("stem dog", "stem grass", "zebra", "pug", "beagle", "equine", "dog", "animal")


@pytest.fixture
def head():
    """The hidden layer's unit n is the logit of column n; all are unlikely where it is 0."""
    kernel = 10 * np.eye(8, dtype=np.float32)
    arrays = {
        "hidden.kernel": np.eye(8, dtype=np.float32),
        "hidden.bias": np.zeros(8, np.float32),
        "stems.kernel": kernel[:, :5],
        "stems.bias": np.full(5, -5, np.float32),
        "stems.usual": np.zeros(2, np.float32),
        "kinds.kernel": kernel[:, 5:],
        "kinds.bias": np.full(3, -5, np.float32),
    }
    return WordHead(arrays, ("dog", "grass"), ("dog", "grass"))


@pytest.fixture
def space():
    """Knows no word."""
    arrays = {
        "image.kernel": np.eye(8, 2, dtype=np.float32),
        "image.bias": np.ones(2, np.float32),
        "text.vectors": np.zeros((1, 2), np.float32),
        "text.weights": np.ones(1, np.float32),
        "text.bias": np.zeros(2, np.float32),
    }
    return JointSpace(arrays, ("",))


def photos(space, head, *shown):
    """One photo for each set of columns."""
    features = np.array([[name in columns for name in COLUMNS] for columns in shown], np.float32)
    return SearchVectors(
        space.image(features).astype(np.float16), head.hidden(features).astype(np.float16)
    )


def order(head, space, share, query, vectors):
    settings = {"joint_short": 0.1, "joint_long": 0.4, "concepts": share}
    plan = planner(head, space, Concepts(TABLE), settings)(query)
    return np.argsort(-score_all(plan, vectors), kind="stable").tolist()


def test_a_name_that_captions_never_use_is_found_by_its_concept(head, space):
    vectors = photos(space, head, {"pug"}, {"zebra"}, set())
    assert order(head, space, 0.0, "zebras", vectors)[0] == 1
    assert order(head, space, 0.0, "animal", photos(space, head, set(), {"animal"})) == [1, 0]


def test_a_name_that_captions_use_is_found_by_both(head, space):
    vectors = photos(space, head, {"dog"}, set(), {"stem dog"}, {"stem dog", "dog"})
    assert order(head, space, 0.0, "dog", vectors)[:2] == [2, 3]  # its stem alone
    assert order(head, space, 0.2, "dog", vectors) == [3, 2, 0, 1]
    assert order(head, space, 0.8, "dog", vectors) == [3, 0, 2, 1]


def test_all_terms_count(head, space):
    vectors = photos(space, head, {"zebra"}, {"stem grass"}, {"zebra", "stem grass"}, set())
    assert order(head, space, 0.2, "zebra on grass", vectors)[0] == 2
    assert order(head, space, 0.2, "zebra on grass", vectors)[3] == 3


def test_a_hypernym_needs_one_direction_and_a_part_of_weight_zero_none(head, space):
    def directions(query, share):
        settings = {"joint_short": 0.1, "joint_long": 0.4, "concepts": share}
        return planner(head, space, Concepts(TABLE), settings)(query).word_directions.shape[1]

    assert directions("animal", 0.2) == 1
    assert directions("dog", 0.2) == 2
    assert directions("dog dogs dog", 0.2) == 2
    assert directions("dog", 0.0) == 1


def test_a_head_without_hypernyms_has_concepts(head, space):
    arrays = {name: each for name, each in head._arrays.items() if not name.startswith("kinds")}
    bare = WordHead(arrays, ("dog", "grass"), ("dog", "grass"))
    settings = {"joint_short": 0.1, "joint_long": 0.4, "concepts": 0.2}
    plan = planner(bare, space, Concepts(TABLE), settings)
    assert plan("animal") is None
    assert plan("zebra") is not None


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("dög", "dog"),
        ("do\u0308g", "dog"),
        ("straße", ""),
        ("dogødog", ""),
        ("犬dog", ""),
        ("собака dog", "dog"),
        ("dog\u2019s", "dog's"),
    ],
)
def test_fragments_of_foreign_words_are_no_words(head, space, query, same):
    settings = {"joint_short": 0.1, "joint_long": 0.4, "concepts": 0.2}
    plan = planner(head, space, Concepts(TABLE), settings)
    found, expected = plan(query), plan(same)
    assert (found is None) == (expected is None)
    if found:
        np.testing.assert_array_equal(found.word_directions, expected.word_directions)
