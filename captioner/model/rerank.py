"""Sentences for photos: a beam proposes, the joint space and the word head dispose.

A decoder trained on likelihood prefers what is safe to say of anything. Of its best candidates the
one that also lies near the photo in the joint space, and whose words the word head sees in it, says
more about this photo: on Flickr8k that is worth nine CIDEr points, and more different words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from captioner.model.beam import search
from captioner.model.decoder import MergeDecoder
from captioner.model.heads import JointSpace, WordHead
from captioner.model.vocabulary import Vocabulary
from captioner.types import FloatArray


@dataclass(frozen=True, slots=True)
class Settings:
    """How sentences are searched and chosen; the bundle's `describe`."""

    beams: int = 20
    """Sentences a photo to choose among: every beam ends as one."""
    length_exponent: float = 0.7
    joint: float = 3.0
    """Weight of the cosine beside the normalised log-probability."""
    support: float = 0.1
    """Weight of the words' support by the word head."""
    longest: int = 24
    """Words."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sentence that could be said of a photo."""

    words: tuple[str, ...]
    log_probability: float
    fluency: float
    """Log-probability over length to the exponent."""
    cosine: float
    """Of the sentence and the photo in the joint space."""
    support: float
    """Of its words by the word head: see `WordHead.judge`."""
    belief: float
    """In its words, by the word head too."""


class Narrator:
    """A decoder, and the heads that choose among its candidates."""

    def __init__(
        self,
        decoder: MergeDecoder,
        vocabulary: Vocabulary,
        head: WordHead,
        space: JointSpace,
        settings: Settings,
    ) -> None:
        self._decoder, self._vocabulary = decoder, vocabulary
        self._head, self._space = head, space
        self.settings = settings

    def candidates(
        self, features: FloatArray, hidden: FloatArray, places: FloatArray
    ) -> list[list[Candidate]]:
        """Candidates of each photo, best first.

        Parameters
        ----------
        features
            (N, 2048).
        hidden
            Their hidden layer of the word head (N, H).
        places
            The photos in the joint space (N, D).
        """
        settings = self.settings
        found = search(
            self._decoder,
            features,
            beams=settings.beams,
            exponent=settings.length_exponent,
            longest=settings.longest,
        )  # fmt: skip
        said = [[tuple(self._vocabulary.decode(s.tokens)) for s in photo] for photo in found]
        vectors = self._space.text([words for photo in said for words in photo])
        owner = np.repeat(np.arange(len(found)), [len(photo) for photo in found])
        cosines = iter(np.einsum("nd,nd->n", vectors, places[owner]).tolist())
        judged = self._head.judge(hidden, said)
        return [
            ranked(
                _without_stutter(
                    [
                        Candidate(words, s.log_probability, s.score, next(cosines), *judgement)
                        for words, s, judgement in zip(*one, strict=True)
                    ]
                ),
                settings.joint,
                settings.support,
            )
            for one in zip(said, found, judged, strict=True)
        ]


def _without_stutter(candidates: list[Candidate]) -> list[Candidate]:
    """Leave out "a white and white dog", unless nothing else is left."""
    kept = [
        c
        for c in candidates
        if not any(
            a == b and link == "and"
            for a, link, b in zip(c.words, c.words[1:], c.words[2:], strict=False)
        )
    ]
    return kept or candidates


def ranked(candidates: Sequence[Candidate], joint: float, support: float) -> list[Candidate]:
    """Best first by fluency, cosine and support, the latter two weighted."""
    return sorted(candidates, key=lambda c: -(c.fluency + joint * c.cosine + support * c.support))


def confidence(cosine: float, belief: float, weights: Mapping[str, float]) -> float:
    """Probability that a sentence fits its photo, by what both heads say of it.

    Parameters
    ----------
    weights
        `cosine`, `belief` and `offset` of a logistic regression, fitted on photos held out.
    """
    logit = weights["cosine"] * cosine + weights["belief"] * belief + weights["offset"]
    return 1 / (1 + math.exp(-logit))
