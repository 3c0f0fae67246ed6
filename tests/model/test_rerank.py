"""The shortlist of words, and the choice among candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from captioner.model.candidates import CandidateGenerator, GenerationConfig
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import (
    RANKING_EVIDENCE,
    Candidate,
    ConfidenceModel,
    Reranker,
    ranking_evidence,
    rerank,
    without_repetition,
)
from captioner.model.vocabulary import END, OTHER_STYLE, SPECIAL_TOKENS, Vocabulary
from captioner.types import Features


def candidate(text: str, log_p: float, cosine: float = 0.0, pmi: float = 0.0) -> Candidate:
    return Candidate(tuple(text.split()), log_p, cosine, pmi, 0.5, -0.1)


def best(
    candidates: list[Candidate],
    length_penalty: float = 0.0,
    joint_weight: float = 0.0,
    pmi_weight: float = 0.0,
) -> Candidate:
    return rerank(
        candidates,
        length_penalty=length_penalty,
        joint_weight=joint_weight,
        pmi_weight=pmi_weight,
    )[0]


def test_weights_decide_between_fluency_and_fit():
    fluent = candidate("a man", -1.0)
    near = candidate("a dog", -2.0, cosine=0.5)
    informative = candidate("a ball", -2.0, pmi=6.0)
    candidates = [near, informative, fluent]
    assert best(candidates) is fluent
    assert best(candidates, joint_weight=3.0) is near
    assert best(candidates, joint_weight=3.0, pmi_weight=0.5) is informative


def test_the_length_penalty_makes_long_sentences_equally_fluent():
    short, long = candidate("a man", -3.0), candidate("a man on a small boat", -4.0)
    assert best([long, short]) is short
    assert best([long, short], length_penalty=1.0) is long


def test_manifests_keep_their_keys():
    described = {
        "beams": 3, "length_exponent": 0.6, "joint": 4.0, "support": 0.05, "longest": 9,
        "common": 7, "telling": 8, "other_style": True, "rerank": {"cosine": 2.0},
    }  # fmt: skip
    config = GenerationConfig.from_manifest(described)
    assert (config.beam_width, config.max_length, config.photo_words) == (3, 9, 8)
    assert config.manifest() == described
    assert GenerationConfig.from_manifest({"beams": 3}) == GenerationConfig(beam_width=3)
    weights = {
        "cosine": 1.1, "belief": 5.9, "doubt": -0.4, "length": -0.1, "offset": -1.3, "least": 0.3,
        "candidates": 30,
    }  # fmt: skip
    assert ConfidenceModel.from_manifest(weights).manifest() == weights
    older = {key: weights[key] for key in ("cosine", "belief", "doubt", "offset")}
    read = ConfidenceModel.from_manifest(older)
    assert (read.threshold, read.length, read.candidates) == (0, 0, 1)


def test_confidence_is_a_logistic_regression_on_the_evidence():
    model = ConfidenceModel.from_manifest(
        {"cosine": 2.0, "belief": 4.0, "doubt": -0.5, "length": -0.2, "offset": -1.0}
    )
    fit = Candidate(("dog",), -2.0, 0.25, 9.0, 0.75, -1.5)
    logit = 2 * 0.25 + 4 * 0.75 - 0.5 * 1.5 - 0.2 - 1
    assert model.confidence(fit) == pytest.approx(1 / (1 + np.exp(-logit)))


def test_a_shortlist_has_frequent_words_and_those_probable_by_the_head():
    tokens = [*SPECIAL_TOKENS, "a", "the", "dog", "dogs", "boat", "tree", "car"]
    stems = {"dog": -1.0, "boat": 2.0, "tree": 1.0, "car": 0.0}
    arrays = {
        "hidden.kernel": np.eye(4, dtype=np.float32), "hidden.bias": np.zeros(4, np.float32),
        "stems.kernel": np.eye(4, dtype=np.float32), "stems.bias": np.zeros(4, np.float32),
    }  # fmt: skip
    head = WordHead(arrays, list(stems), list(stems))
    vocabulary = Vocabulary(tokens)
    hidden = np.array([[*stems.values()], [3, 0, -1, 1]], np.float32)

    def shortlist(frequent_words: int, photo_words: int) -> list[set[str]]:
        config = GenerationConfig(frequent_words=frequent_words, photo_words=photo_words)
        generator = CandidateGenerator(None, vocabulary, head, None, config)  # type: ignore[arg-type]
        rows = generator.shortlist(hidden)
        assert (rows[:, 0] == END).all()
        return [{tokens[number] for number in row[1:]} for row in rows.tolist()]

    assert shortlist(2, 2) == [{"a", "the", "boat", "tree"}, {"a", "the", "dog", "dogs"}]
    assert shortlist(2, 100) == [set(tokens[4:])] * 2
    assert shortlist(100, 3) == [set(tokens[4:])] * 2


def test_repetitive_candidates_are_dropped_unless_nothing_else_is_left():
    repetitive = candidate("a white and white dog", -1.0)
    plain = candidate("a white and black dog", -2.0)
    twice = candidate("a brown dog and a brown dog run", -2.0)
    again = candidate("a plate of food on a plate", -2.0)
    other = candidate("a dog and a cat", -2.0)
    assert without_repetition([repetitive, plain, twice, again, other]) == [1, 4]
    assert without_repetition([repetitive]) == [0]


def test_a_reranker_weighs_the_evidence_within_each_photo():
    candidates = [
        candidate("a man", -2.0, cosine=0.2, pmi=3.0),
        candidate("a dog runs", -4.0, cosine=0.5, pmi=1.0),
        replace(candidate("a dog", -6.0, cosine=0.3), other_style=True),
    ]
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 1]]
    evidence = ranking_evidence(candidates, vectors)
    assert evidence.shape == (3, len(RANKING_EVIDENCE))
    column = {name: evidence[:, at].tolist() for at, name in enumerate(RANKING_EVIDENCE)}
    assert column["other_style"] == [0, 0, 1]
    assert np.mean(column["cosine"]) == pytest.approx(0, abs=1e-6)
    assert np.std(column["cosine"]) == pytest.approx(1, abs=1e-3)
    assert np.argmax(column["cosine"]) == 1
    # Two of the three sentences are the same; the first has most of the probability.
    assert column["consensus"][1] > column["consensus"][0]
    assert column["weighted_consensus"][0] > column["weighted_consensus"][1]

    def first(**weights: float) -> Candidate:
        return Reranker(weights).rank(candidates, vectors)[0]

    assert first(cosine=1.0) is candidates[1]
    assert first(pmi=1.0) is candidates[0]
    assert first(other_style=5.0, cosine=1.0) is candidates[2]
    assert Reranker({}).rank(candidates, vectors) == candidates


@pytest.mark.parametrize("width", [1, 2, 5])
def test_half_of_the_hypotheses_may_be_in_the_other_style(width: int):
    """The decoder says "the dog" after START, and "a dog" after the token of the other style."""
    tokens = [*SPECIAL_TOKENS, "a", "the", "dog", "boat"]

    class TwoStyles:
        vocabulary_size = len(tokens)

        def start(self, features, shortlist=None):
            return shortlist, np.zeros(len(features), np.intp)

        def step(self, photos, rows, states, last):
            p = np.full((len(last), len(tokens)), 0.01, np.float32)
            following = {1: 5, OTHER_STYLE: 4, 4: 6, 5: 6, 6: END, 7: END}
            p[np.arange(len(last)), [following[token] for token in last.tolist()]] = 1
            p = np.take_along_axis(p, photos[rows], axis=1)
            return p / p.sum(axis=1, keepdims=True), states

    head = WordHead(
        {
            "hidden.kernel": np.eye(1, dtype=np.float32), "hidden.bias": np.zeros(1, np.float32),
            "stems.kernel": np.eye(1, dtype=np.float32), "stems.bias": np.zeros(1, np.float32),
            "stems.usual": np.zeros(1, np.float32),
        }, ["dog"], ["dog"],
    )  # fmt: skip
    space = JointSpace(
        {
            "text.vectors": np.eye(5, dtype=np.float32), "text.weights": np.ones(5, np.float32),
            "text.bias": np.zeros(5, np.float32),
        }, ["", "a", "the", "dog", "boat"],
    )  # fmt: skip
    config = GenerationConfig(beam_width=width, max_length=3, other_style=True)
    generator = CandidateGenerator(TwoStyles(), Vocabulary(tokens), head, space, config)
    features, one = Features(np.zeros((1, 1), np.float32)), np.zeros((1, 1), np.float32)
    ((*found,),) = generator.candidates(features, one, np.zeros((1, 5), np.float32))
    assert len({c.words for c in found}) == len(found) == width
    assert sum(c.other_style for c in found) == width // 2
    likely = {c.other_style: c.words for c in sorted(found, key=lambda c: c.log_probability)}
    assert likely[False] == ("the", "dog")
    if width > 1:
        assert likely[True] == ("a", "dog")
    fallback = generator.fallback(features, one, np.zeros((1, 5), np.float32))[0]
    assert len(fallback) == max(1, width // 2)
    assert all(c.other_style for c in fallback)
    assert max(fallback, key=lambda c: c.log_probability).words == ("a", "dog")


def test_the_decoder_alone_takes_its_most_probable_sentence():
    """What papers measure: any word, no length normalisation, no evidence but the decoder's."""
    tokens = [*SPECIAL_TOKENS, "a", "dog", "and"]
    following = {1: {4: 0.9, 5: 0.1}, 4: {5: 1.0}, 5: {END: 0.4, 6: 0.6}, 6: {4: 0.9, 5: 0.1}}

    class Table:
        vocabulary_size = len(tokens)

        def start(self, features, shortlist=None):
            self.shortlist = shortlist
            return None, np.zeros(len(features), np.intp)

        def step(self, photos, rows, states, last):
            p = np.zeros((len(last), len(tokens)), np.float32)
            for row, token in enumerate(last.tolist()):
                for to, probability in following[token].items():
                    p[row, to] = probability
            if self.shortlist is not None:
                p = np.take_along_axis(p, self.shortlist[rows], axis=1)
            return p, states

    head = WordHead(
        {
            "hidden.kernel": np.eye(1, dtype=np.float32), "hidden.bias": np.zeros(1, np.float32),
            "stems.kernel": np.eye(1, dtype=np.float32), "stems.bias": np.zeros(1, np.float32),
            "stems.usual": np.zeros(1, np.float32),
        }, ["dog"], ["dog"],
    )  # fmt: skip
    space = JointSpace(
        {
            "text.vectors": np.eye(4, 3, -1, np.float32), "text.weights": np.ones(4, np.float32),
            "text.bias": np.zeros(3, np.float32),
        }, ["", "a", "dog", "and"],
    )  # fmt: skip
    config = GenerationConfig(
        beam_width=6, max_length=5, other_style=True, fallback_style=True, length_penalty=2.0,
        reranker=Reranker({"cosine": 1.0}), frequent_words=2, photo_words=1,
    )  # fmt: skip
    alone = config.of_decoder_alone()
    assert (alone.beam_width, alone.max_length) == (6, 5)
    assert alone.manifest() == {
        **GenerationConfig(beam_width=6, max_length=5, frequent_words=2, photo_words=1).manifest(),
        "length_exponent": 0.0, "joint": 0.0, "support": 0.0,
    }  # fmt: skip
    stepper = Table()
    generator = CandidateGenerator(stepper, Vocabulary(tokens), head, space, alone)
    one = np.zeros((1, 1), np.float32)
    near_dog = np.array([[0, 1, 0]], np.float32)
    [found] = generator.candidates(Features(one), one, near_dog)
    assert stepper.shortlist is None
    probabilities = [math.exp(candidate.log_probability) for candidate in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert found[0].words == ("a", "dog")
    assert probabilities[0] == pytest.approx(0.9 * 0.4)
    # Repetitive, and yet among the most probable.
    assert ("a", "dog", "and", "a", "dog") in [candidate.words for candidate in found[:3]]
