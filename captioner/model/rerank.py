"""Sentences for photos: a beam proposes, the joint space and the word head dispose.

A decoder trained on likelihood prefers what is safe to say of anything. Of its best candidates the
one that also lies near the photo in the joint space, and whose words the word head sees in it, says
more about this photo: on Flickr8k that is worth eight CIDEr points, and more different words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from captioner.model.beam import search
from captioner.model.decoder import IntArray, MergeDecoder
from captioner.model.heads import JointSpace, WordHead
from captioner.model.vocabulary import END, MARKS, Vocabulary
from captioner.types import FloatArray


@dataclass(frozen=True, slots=True)
class Settings:
    """How sentences are searched and chosen; the bundle's `describe`."""

    beams: int = 30
    """Sentences a photo to choose among: every beam ends as one."""
    length_exponent: float = 0.7
    joint: float = 3.0
    """Weight of the cosine beside the normalised log-probability."""
    support: float = 0.1
    """Weight of the words' support by the word head."""
    longest: int = 24
    """Words."""
    common: int = 200
    """The most frequent words, which any sentence may use."""
    telling: int = 300
    """Other words a photo's sentences may use: those that the word head sees most."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sentence that could be said of a photo."""

    words: tuple[str, ...]
    log_probability: float
    cosine: float
    """Of the sentence and the photo in the joint space."""
    support: float
    """Of its words by the word head: see `WordHead.judge`."""
    belief: float
    """In its words, by the word head too."""
    doubt: float
    """About the least likely of its words."""


EVIDENCE = ("cosine", "belief", "doubt")
"""What of a candidate tells whether it fits its photo."""


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
        common = min(len(MARKS) + settings.common, len(vocabulary))
        self._often = np.array([END, *range(len(MARKS), common)])
        self._rest = head.places_of(vocabulary.tokens[common:])

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
            words=self.sayable(hidden),
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
                        Candidate(words, s.log_probability, next(cosines), *judgement)
                        for words, s, judgement in zip(*one, strict=True)
                    ]
                ),
                settings.length_exponent,
                settings.joint,
                settings.support,
            )
            for one in zip(said, found, judged, strict=True)
        ]

    def sayable(self, hidden: FloatArray) -> IntArray:
        """The words that sentences about each photo are made of, as tokens (N, K), END first.

        The common ones, and of the others those that the word head sees most: of thousands of words
        a photo needs hundreds, and the decoder's work is as large as its choice of words.

        Parameters
        ----------
        hidden
            The photos' hidden layer of the word head (N, H).
        """
        often = np.tile(self._often, (len(hidden), 1))
        if not len(self._rest):
            return often
        support = self._head.logits_at(hidden, self._rest)
        count = min(self.settings.telling, len(self._rest))
        first = len(self._vocabulary) - len(self._rest)
        telling = first + np.argpartition(-support, count - 1, axis=1)[:, :count]
        return np.hstack([often, telling])


def _without_stutter(candidates: list[Candidate]) -> list[Candidate]:
    """Leave out "a dog and a dog" and "food on a plate of food", unless nothing else is left."""
    return [c for c in candidates if not _stutters(c.words)] or candidates


def _stutters(words: Sequence[str]) -> bool:
    """Whether it ends with a word said before, or says up to three on both sides of an "and"."""
    return words[-1] in words[:-1] or any(
        words[max(0, at - count) : at] == words[at + 1 : at + 1 + count]
        for at, word in enumerate(words)
        if word == "and"
        for count in (1, 2, 3)
    )


def ranked(
    candidates: Sequence[Candidate], length_exponent: float, joint: float, support: float
) -> list[Candidate]:
    """Best first by fluency, which is log-probability over length to the exponent, and by cosine
    and support, both weighted."""

    def worth(c: Candidate) -> float:
        fluency = c.log_probability / (len(c.words) + 1) ** length_exponent
        return fluency + joint * c.cosine + support * c.support

    return sorted(candidates, key=worth, reverse=True)


def confidence(candidate: Candidate, weights: Mapping[str, float]) -> float:
    """Probability that a sentence fits its photo, by what both heads say of it.

    Parameters
    ----------
    weights
        One for each of `EVIDENCE`, and `offset`, of a logistic regression, fitted on photos held
        out.
    """
    logit = sum(weights[name] * getattr(candidate, name) for name in EVIDENCE) + weights["offset"]
    return 1 / (1 + math.exp(-logit))
