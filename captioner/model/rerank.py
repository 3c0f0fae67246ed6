"""Reranking: the candidates of beam search, sorted by how well they fit the photo.

A decoder trained on likelihood prefers sentences that are safe for any photo. The candidate that is
also near the photo in the joint space, and whose words are probable by the word head, is more
specific: on Flickr8k this adds eight CIDEr points, and more distinct words.

What counts how much is either three weights that are chosen on dev (`rerank`), or learnt: a
`Reranker` weighs all evidence, and its weights maximise the CIDEr of what it puts first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from captioner.fusion import standardise
from captioner.types import FloatArray

Number = TypeVar("Number", float, FloatArray)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may become a photo's caption, and the evidence for it."""

    words: tuple[str, ...]
    log_probability: float
    """Natural logarithm of the decoder's probability, END included."""
    cosine: float
    """Of the sentence's and the photo's embeddings in the joint space."""
    pmi: float
    """Pointwise mutual information of its words and the photo, see `heads.WordEvidence`."""
    mean_word_probability: float
    """Of its words, by the word head."""
    min_word_log_probability: float
    """Of the least likely of its words, by the word head."""
    other_style: bool = False
    """Whether it is in the style of the extra data."""

    @property
    def length(self) -> int:
        """Words."""
        return len(self.words)


def score(
    log_probability: Number,
    length: Number,
    cosine: Number,
    pmi: Number,
    *,
    length_penalty: float,
    joint_weight: float,
    pmi_weight: float,
) -> Number:
    """What candidates are ranked by; of numbers, or of arrays of one shape.

    Parameters
    ----------
    length
        Words, END included. `log_probability / length ** length_penalty` is the fluency.
    """
    return log_probability / length**length_penalty + joint_weight * cosine + pmi_weight * pmi


def rerank(
    candidates: Sequence[Candidate],
    *,
    length_penalty: float,
    joint_weight: float,
    pmi_weight: float,
) -> list[Candidate]:
    """Candidates by `score`, best first."""

    def own_score(candidate: Candidate) -> float:
        return score(
            candidate.log_probability,
            len(candidate.words) + 1,
            candidate.cosine,
            candidate.pmi,
            length_penalty=length_penalty,
            joint_weight=joint_weight,
            pmi_weight=pmi_weight,
        )

    return sorted(candidates, key=own_score, reverse=True)


RANKING_EVIDENCE = (
    "log_probability",
    "length",
    "normalised_log_probability",
    "mean_log_probability",
    "cosine",
    "pmi",
    "mean_pmi",
    "mean_word_probability",
    "min_word_log_probability",
    "other_style",
    "consensus",
    "weighted_consensus",
)
"""The columns of `ranking_evidence`."""
_LENGTH_PENALTY = 0.6


def ranking_evidence(candidates: Sequence[Candidate], vectors: FloatArray) -> FloatArray:
    """What a `Reranker` weighs: float32 (candidates, `RANKING_EVIDENCE`).

    Each column is standardised over the photo's candidates, since only differences between them
    matter; `other_style` is 0 or 1.

    Parameters
    ----------
    vectors
        Of the sentences in the joint space (candidates, D). The cosine of a sentence and the others
        is its consensus: their mean, and their mean weighted by probability.
    """
    log_p = np.array([c.log_probability for c in candidates])
    length = np.array([len(c.words) + 1 for c in candidates])
    pmi = np.array([c.pmi for c in candidates])
    other = np.array([c.other_style for c in candidates], np.float64)
    share = np.exp(log_p - log_p.max())
    columns = np.stack(
        [
            log_p,
            length,
            log_p / length**_LENGTH_PENALTY,
            log_p / length,
            np.array([c.cosine for c in candidates]),
            pmi,
            pmi / length,
            np.array([c.mean_word_probability for c in candidates]),
            np.array([c.min_word_log_probability for c in candidates]),
            other,
            vectors @ vectors.mean(axis=0),
            vectors @ (share @ vectors / share.sum()),
        ]
    ).astype(np.float32)
    out = standardise(columns).T
    out[:, RANKING_EVIDENCE.index("other_style")] = other
    return out


@dataclass(frozen=True, slots=True)
class Reranker:
    """A linear model of how good each candidate is, compared with the photo's others."""

    weights: Mapping[str, float]
    """By the names in `RANKING_EVIDENCE`."""

    def rank(self, candidates: Sequence[Candidate], vectors: FloatArray) -> list[Candidate]:
        """Candidates of one photo, best first.

        Parameters
        ----------
        vectors
            Of the sentences in the joint space (candidates, D).
        """
        weights = np.array([self.weights.get(name, 0.0) for name in RANKING_EVIDENCE], np.float32)
        scores = ranking_evidence(candidates, vectors) @ weights
        return [candidates[row] for row in np.argsort(-scores, kind="stable").tolist()]


def without_repetition(candidates: Sequence[Candidate]) -> list[int]:
    """Positions of all but "a dog and a dog" and "food on a plate of food"; all if none is left."""
    kept = [row for row, c in enumerate(candidates) if not _is_repetitive(c.words)]
    return kept or list(range(len(candidates)))


def _is_repetitive(words: Sequence[str]) -> bool:
    """Whether the last word is there before, or up to three are the same on both sides of "and"."""
    return words[-1] in words[:-1] or any(
        words[max(0, at - count) : at] == words[at + 1 : at + 1 + count]
        for at, word in enumerate(words)
        if word == "and"
        for count in (1, 2, 3)
    )


@dataclass(frozen=True, slots=True)
class ConfidenceModel:
    """Logistic regression from a candidate's evidence to the probability that it fits its photo.

    Fitted on photos held out from training. The first four fields are the weights of `EVIDENCE`.
    """

    cosine: float
    mean_word_probability: float
    min_word_log_probability: float
    length: float
    intercept: float
    threshold: float = 0.0
    """Captions of a lower confidence are not shown, unless asked for."""
    candidates: int = 1
    """Of each photo, best first, from which the first one above the threshold is shown."""

    @classmethod
    def from_manifest(cls, entry: Mapping[str, float]) -> Self:
        """From a manifest's `confidence`, whose `doubt` is the weight of the negated logarithm."""
        return cls(
            cosine=entry["cosine"],
            mean_word_probability=entry["belief"],
            min_word_log_probability=-entry["doubt"],
            length=entry.get("length", 0.0),
            intercept=entry["offset"],
            threshold=entry.get("least", 0.0),
            candidates=int(entry.get("candidates", 1)),
        )

    def manifest(self) -> dict[str, float]:
        """The inverse of `from_manifest`."""
        return {
            "cosine": self.cosine,
            "belief": self.mean_word_probability,
            "doubt": -self.min_word_log_probability,
            "length": self.length,
            "offset": self.intercept,
            "least": self.threshold,
            "candidates": self.candidates,
        }

    def confidence(self, candidate: Candidate) -> float:
        """Calibrated probability that the sentence fits its photo, 0 to 1."""
        logit = sum(getattr(self, name) * getattr(candidate, name) for name in EVIDENCE)
        return 1 / (1 + math.exp(-(logit + self.intercept)))


EVIDENCE = ("cosine", "mean_word_probability", "min_word_log_probability", "length")
"""What a candidate's confidence is computed from. A short sentence makes fewer false statements."""
