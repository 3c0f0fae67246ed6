"""Candidate generation: beam search over a shortlist of words, then reranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from captioner.model.beam import search
from captioner.model.decoders.interface import IntArray, Stepper
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import Candidate, rerank, without_repetition
from captioner.model.vocabulary import END, SPECIAL_TOKENS, Vocabulary
from captioner.types import Features, FloatArray


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How captions are searched for and chosen."""

    beam_width: int = 30
    """Hypotheses per photo; each becomes a candidate."""
    length_penalty: float = 0.7
    """Exponent of the length in a sentence's score."""
    joint_weight: float = 3.0
    """Of the cosine in the joint space, relative to the normalised log-probability."""
    pmi_weight: float = 0.1
    """Of the pointwise mutual information."""
    max_length: int = 24
    """Words."""
    frequent_words: int = 200
    """The most frequent words, which are in the shortlist of every photo."""
    photo_words: int = 300
    """Further words in a photo's shortlist: those most probable by the word head."""

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Self:
        """From a manifest's `describe`."""
        return cls(**{_FIELDS[key]: value for key, value in entry.items()})

    def with_weights(self, weights: Mapping[str, float]) -> Self:
        """The same with other values of `length_penalty`, `joint_weight` or `pmi_weight`."""
        changes: dict[str, Any] = dict(weights)
        return replace(self, **changes)

    def manifest(self) -> dict[str, Any]:
        """The inverse of `from_manifest`."""
        return {key: getattr(self, field) for key, field in _FIELDS.items()}


_FIELDS = {
    "beams": "beam_width",
    "length_exponent": "length_penalty",
    "joint": "joint_weight",
    "support": "pmi_weight",
    "longest": "max_length",
    "common": "frequent_words",
    "telling": "photo_words",
}
"""Fields of `GenerationConfig` by their keys in a bundle's manifest."""


class CandidateGenerator:
    """Generates candidate captions with a decoder, and ranks them with the heads.

    Parameters
    ----------
    stepper
        Of one decoder, or of an ensemble.
    vocabulary
        Of the decoders; its words are the most frequent ones first.
    head, space
        The word head makes the shortlists; both rank the sentences.
    """

    def __init__(
        self,
        stepper: Stepper,
        vocabulary: Vocabulary,
        head: WordHead,
        space: JointSpace,
        config: GenerationConfig,
    ) -> None:
        self._stepper, self._vocabulary = stepper, vocabulary
        self._head, self._space = head, space
        self.config = config
        first_rare = min(len(SPECIAL_TOKENS) + config.frequent_words, len(vocabulary))
        self._frequent = np.array([END, *range(len(SPECIAL_TOKENS), first_rare)])
        self._columns = head.columns_of(vocabulary.tokens[first_rare:])
        """Of the word head, for each rarer word."""

    def candidates(
        self, features: Features, hidden: FloatArray, embeddings: FloatArray
    ) -> list[list[Candidate]]:
        """Candidates for each photo, best first.

        Parameters
        ----------
        features
            Of N photos.
        hidden
            Their hidden layer of the word head (N, H).
        embeddings
            The photos in the joint space (N, D).
        """
        config = self.config
        found = search(
            self._stepper,
            features,
            shortlist=self.shortlist(hidden),
            beam_width=config.beam_width,
            length_penalty=config.length_penalty,
            max_length=config.max_length,
        )
        sentences = [[tuple(self._vocabulary.decode(s.tokens)) for s in photo] for photo in found]
        vectors = self._space.text([words for photo in sentences for words in photo])
        owner = np.repeat(np.arange(len(found)), [len(photo) for photo in found])
        cosines = iter(np.einsum("nd,nd->n", vectors, embeddings[owner]).tolist())
        evidence = self._head.evidence(hidden, sentences)
        return [
            rerank(
                without_repetition(
                    [
                        Candidate(words, s.log_probability, next(cosines), *of_words)
                        for words, s, of_words in zip(*photo, strict=True)
                    ]
                ),
                length_penalty=config.length_penalty,
                joint_weight=config.joint_weight,
                pmi_weight=config.pmi_weight,
            )
            for photo in zip(sentences, found, evidence, strict=True)
        ]

    def shortlist(self, hidden: FloatArray) -> IntArray:
        """The tokens that each photo's sentences may use (N, K), END first.

        The frequent ones, and of the others those most probable by the word head: of thousands of
        words a photo needs hundreds, and decoding time grows with their number.

        Parameters
        ----------
        hidden
            The photos' hidden layer of the word head (N, H).
        """
        frequent = np.tile(self._frequent, (len(hidden), 1))
        if not len(self._columns):
            return frequent
        logits = self._head.logits_at(hidden, self._columns)
        count = min(self.config.photo_words, len(self._columns))
        first_rare = len(self._vocabulary) - len(self._columns)
        photo_words = first_rare + np.argpartition(-logits, count - 1, axis=1)[:, :count]
        return np.hstack([frequent, photo_words])
