"""Word head, joint space, and the query plans made of both."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.concepts import Concepts
from captioner.model.heads import KEYWORD_PROBABILITY, JointSpace, WordHead, log_probability
from captioner.model.query import planner, score_all
from captioner.types import SearchVectors

STEMS = ("dog", "run", "beach")
NOTHING = Concepts({"concepts": [], "kinds": []})


@pytest.fixture
def head():
    """Hidden unit n is feature n; stem n is likely where that is 1 and unlikely where it is 0."""
    kernel = np.zeros((2048, 3), np.float32)
    kernel[:3] = np.eye(3)
    arrays = {
        "hidden.kernel": kernel,
        "hidden.bias": np.zeros(3, np.float32),
        "stems.kernel": 8 * np.eye(3, dtype=np.float32),
        "stems.bias": np.full(3, -4, np.float32),
        "stems.usual": np.log(np.array([0.5, 0.1, 0.01], np.float32)),
    }
    return WordHead(arrays, STEMS, ("dog", "running", "beach"))


@pytest.fixture
def space():
    """Words on the axes of three dimensions; "sea" lies where "beach" does, of half its weight."""
    kernel = np.zeros((2048, 3), np.float32)
    kernel[:3] = np.eye(3)
    vectors = np.vstack([np.zeros(3), np.eye(3), [0, 0, 1]]).astype(np.float32)
    arrays = {
        "image.kernel": kernel,
        "image.bias": np.zeros(3, np.float32),
        "text.vectors": vectors,
        "text.weights": np.array([9, 1, 1, 1, 0.5], np.float32),
        "text.bias": np.zeros(3, np.float32),
    }
    return JointSpace(arrays, ("", "dog", "runs", "beach", "sea"))


def features(*rows: tuple[float, float, float]):
    out = np.zeros((len(rows), 2048), np.float32)
    out[:, :3] = rows
    return out


def test_columns_are_those_of_the_stems(head):
    words = ["run", "running", "runs", "dogs", "beach", "sea"]
    assert head.columns_of(words).tolist() == [1, 1, 1, 0, 2, -1]


def test_keywords_are_the_display_words_of_probable_stems(head):
    hidden = head.hidden(features((1, 0.8, 0), (0, 0, 0), (0.4, 0.45, 1)))
    found = head.keywords(hidden, 2)
    assert [[k.word for k in photo] for photo in found] == [
        ["dog", "running"],
        [],
        ["beach", "running"],
    ]
    assert found[0][0].probability == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)
    assert all(k.probability >= KEYWORD_PROBABILITY for photo in found for k in photo)


def test_a_stem_classifier_has_the_known_stems_once(head):
    hidden = head.hidden(features((1, 1, 0), (0, 1, 1)))
    likely, unlikely = -np.log1p(np.exp(-4)), -np.log1p(np.exp(4))
    kernel, bias = head.stem_classifier(["dogs", "running", "quickly", "dog"])
    log_p = log_probability(hidden @ kernel + bias)
    np.testing.assert_allclose(log_p.sum(axis=1), [2 * likely, likely + unlikely], rtol=1e-5)
    assert head.stem_classifier(["zebra"])[0].shape == (3, 0)


def test_word_evidence_of_sentences(head):
    hidden = head.hidden(features((1, 1, 0), (0, 1, 1)))
    sentences = [["a", "dog", "runs", "dogs"], ["on", "it"]], [["beach"], ["dog", "beach"]]
    likely, unlikely = -np.log1p(np.exp(-4)), -np.log1p(np.exp(4))
    first, second = head.evidence(hidden, sentences)
    pmi, mean, lowest = zip(*first, *second, strict=True)
    both = likely + unlikely - np.log(0.5) - np.log(0.01)
    assert pmi == pytest.approx(
        [2 * likely - np.log(0.5) - np.log(0.1), 0.0, likely - np.log(0.01), both], rel=1e-5
    )
    half = (np.exp(likely) + np.exp(unlikely)) / 2
    assert mean == pytest.approx([np.exp(likely), 0.0, np.exp(likely), half], rel=1e-5)
    assert lowest == pytest.approx([likely, 0.0, likely, unlikely], rel=1e-5)


def test_sentences_are_weighted_means_of_unit_length(space):
    vectors = space.text([["dog"], ["dog", "beach"], ["dog", "sea"], ["dog", "dog", "beach"]])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(vectors[1], [0.5**0.5, 0, 0.5**0.5], rtol=1e-6)
    assert vectors[2, 0] == pytest.approx(2 * vectors[2, 2])
    assert vectors[3, 0] == pytest.approx(2 * vectors[3, 2])


def test_an_unknown_word_takes_the_vectors_of_its_stem_or_counts_nothing(space):
    vectors = space.text([["running"], ["zebra"], [], ["zebra", "dog"], ["dog"]])
    np.testing.assert_allclose(vectors[0], [0, 1, 0], atol=1e-6)
    assert not vectors[1].any()
    assert not vectors[2].any()
    np.testing.assert_array_equal(vectors[3], vectors[4])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("query", ["dog", "a dog runs on the beach by the sea with a dog"])
def test_the_photo_that_fits_has_the_best_score(head, space, query, share):
    found = features((1, 1, 1), (0, 0, 1), (0, 0, 0.1), (0.1, 0, 0))
    vectors = SearchVectors(
        space.image(found).astype(np.float16), head.hidden(found).astype(np.float16)
    )
    plan = planner(head, space, NOTHING, {"joint_short": share, "joint_long": share})
    scores = score_all(plan(query), vectors)
    assert scores.dtype == np.float32
    if share == 0 or query != "dog":
        assert int(scores.argmax()) == 0
    assert plan("zebra") is None
    assert not score_all(None, vectors).any()


def test_the_joint_space_alone_scores_words_without_a_stem(head, space):
    found = features((1, 0, 0), (0, 0, 1))
    vectors = SearchVectors(
        space.image(found).astype(np.float16), head.hidden(found).astype(np.float16)
    )
    plan = planner(head, space, NOTHING, {"joint_short": 0.0, "joint_long": 0.0})
    assert int(score_all(plan("sea"), vectors).argmax()) == 1


def test_a_stop_words_stem_is_no_target():
    from captioner.training.heads import Lexicon

    lexicon = Lexicon.from_captions(["I see a dog", "this is his dog"] * 8)
    assert lexicon.stems == ("dog", "see")
