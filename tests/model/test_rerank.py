"""The shortlist of words, and the choice among candidates."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.candidates import CandidateGenerator, GenerationConfig
from captioner.model.heads import WordHead
from captioner.model.rerank import Candidate, ConfidenceModel, rerank, without_repetition
from captioner.model.vocabulary import END, SPECIAL_TOKENS, Vocabulary


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
        "common": 7, "telling": 8,
    }  # fmt: skip
    config = GenerationConfig.from_manifest(described)
    assert (config.beam_width, config.max_length, config.photo_words) == (3, 9, 8)
    assert config.manifest() == described
    weights = {"cosine": 1.1, "belief": 5.9, "doubt": -0.4, "offset": -1.3, "least": 0.3}
    assert ConfidenceModel.from_manifest(weights).manifest() == weights
    older = {key: weights[key] for key in ("cosine", "belief", "doubt", "offset")}
    assert ConfidenceModel.from_manifest(older).threshold == 0


def test_confidence_is_a_logistic_regression_on_the_evidence():
    model = ConfidenceModel.from_manifest(
        {"cosine": 2.0, "belief": 4.0, "doubt": -0.5, "offset": -1.0}
    )
    fit = Candidate(("dog",), -2.0, 0.25, 9.0, 0.75, -1.5)
    logit = 2 * 0.25 + 4 * 0.75 - 0.5 * 1.5 - 1
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
    assert without_repetition([repetitive, plain, twice, again, other]) == [plain, other]
    assert without_repetition([repetitive]) == [repetitive]
