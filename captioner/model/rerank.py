"""Sentences for photos: a beam proposes, the joint space disposes.

A decoder trained on likelihood prefers what is safe to say of anything. Of its best candidates the
one that also lies near the photo in the joint space says more about this photo: on Flickr8k that is
worth nine CIDEr points, and more different words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from captioner.model.beam import search
from captioner.model.decoder import MergeDecoder
from captioner.model.heads import JointSpace
from captioner.model.vocabulary import Vocabulary
from captioner.types import FloatArray


@dataclass(frozen=True, slots=True)
class Settings:
    """How sentences are searched and chosen; the bundle's `describe`."""

    beams: int = 20
    """Sentences a photo to choose among: every beam ends as one."""
    length_exponent: float = 0.7
    rerank: float = 6.0
    """Weight of the cosine beside the normalised log-probability."""
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


class Narrator:
    """Decoder, vocabulary and joint space together."""

    def __init__(
        self, decoder: MergeDecoder, vocabulary: Vocabulary, space: JointSpace, settings: Settings
    ) -> None:
        self._decoder, self._vocabulary, self._space = decoder, vocabulary, space
        self.settings = settings

    def candidates(self, features: FloatArray, places: FloatArray) -> list[list[Candidate]]:
        """Candidates of each photo, best first.

        Parameters
        ----------
        features
            (N, 2048).
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
        return [
            ranked(
                [
                    Candidate(words, s.log_probability, s.score, next(cosines))
                    for words, s in zip(sentences, photo, strict=True)
                ],
                settings.rerank,
            )
            for sentences, photo in zip(said, found, strict=True)
        ]


def ranked(candidates: Sequence[Candidate], weight: float) -> list[Candidate]:
    """Best first by fluency and `weight` times cosine."""
    return sorted(candidates, key=lambda c: -(c.fluency + weight * c.cosine))
