"""Candidate generation: beam search over a shortlist of words, then reranking."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from captioner.model.beam import Sentence, search
from captioner.model.decoders.interface import IntArray, Stepper
from captioner.model.heads import JointSpace, WordHead
from captioner.model.rerank import Candidate, Reranker, rerank, without_repetition
from captioner.model.vocabulary import END, OTHER_STYLE, SPECIAL_TOKENS, START, Vocabulary
from captioner.types import Features, FloatArray


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """How captions are searched for and chosen."""

    beam_width: int = 30
    """Hypotheses per photo; each becomes a candidate."""
    other_style: bool = False
    """Whether half of the hypotheses are in the style of the extra data."""
    fallback_style: bool = False
    """Whether a photo without a confident caption gets candidates in the style of the extra data:
    where that style is plainer, its captions are shorter and safer."""
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

    reranker: Reranker | None = None
    """What ranks the candidates, instead of the three weights."""
    decoder_alone: bool = False
    """Whether the heads have no say: see `of_decoder_alone`. In no manifest."""

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Self:
        """From a manifest's `describe`."""
        fields = {_FIELDS[key]: value for key, value in entry.items() if key != _RERANKER}
        reranker = Reranker(entry[_RERANKER]) if _RERANKER in entry else None
        return cls(**fields, reranker=reranker)

    def with_weights(self, weights: Mapping[str, float]) -> Self:
        """The same with other values of `length_penalty`, `joint_weight` or `pmi_weight`."""
        changes: dict[str, Any] = dict(weights)
        return replace(self, **changes)

    def of_decoder_alone(self) -> Self:
        """Beam search alone, by the decoder's probability: how papers compare decoders.

        Sentences may use the whole vocabulary, and the most probable one comes first: no shortlist
        from the word head, no length normalisation, no other style, no reranking, and nothing is
        dropped for being repetitive. (Tanti, Gatt and Camilleri, "Where to put the image in an
        image caption generator", 2018, search so.)
        """
        return replace(
            self,
            decoder_alone=True,
            other_style=False,
            fallback_style=False,
            length_penalty=0.0,
            joint_weight=0.0,
            pmi_weight=0.0,
            reranker=None,
        )

    def manifest(self) -> dict[str, Any]:
        """The inverse of `from_manifest`."""
        fields = {key: getattr(self, field) for key, field in _FIELDS.items()}
        for style in ("other_style", "fallback_style"):
            if not fields[style]:
                del fields[style]  # as in bundles of the first version
        reranker = {_RERANKER: dict(self.reranker.weights)} if self.reranker else {}
        return fields | reranker


_FIELDS = {
    "beams": "beam_width",
    "other_style": "other_style",
    "fallback_style": "fallback_style",
    "length_exponent": "length_penalty",
    "joint": "joint_weight",
    "support": "pmi_weight",
    "longest": "max_length",
    "common": "frequent_words",
    "telling": "photo_words",
}
"""Fields of `GenerationConfig` by their keys in a bundle's manifest."""


_RERANKER = "rerank"


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
        other_width = config.beam_width // 2 if config.other_style else 0
        widths = {START: config.beam_width - other_width, OTHER_STYLE: other_width}
        return self._candidates(features, hidden, embeddings, widths)

    def fallback(
        self, features: Features, hidden: FloatArray, embeddings: FloatArray
    ) -> list[list[Candidate]]:
        """Candidates in the style of the extra data, half as many; see `candidates`."""
        widths = {OTHER_STYLE: max(1, self.config.beam_width // 2)}
        return self._candidates(features, hidden, embeddings, widths)

    def _candidates(
        self,
        features: Features,
        hidden: FloatArray,
        embeddings: FloatArray,
        widths: Mapping[int, int],
    ) -> list[list[Candidate]]:
        """Candidates, with the beam width of each style, by its start token."""
        shortlist = None if self.config.decoder_alone else self.shortlist(hidden)
        found = self._search(features, shortlist, widths)
        sentences = [
            [tuple(self._vocabulary.decode(s.tokens)) for s, _ in photo] for photo in found
        ]
        vectors = self._space.text([words for photo in sentences for words in photo])
        ends = np.cumsum([len(photo) for photo in found]).tolist()
        evidence = self._head.evidence(hidden, sentences)
        out = []
        for row, (first, end) in enumerate(itertools.pairwise([0, *ends])):
            cosines = (vectors[first:end] @ embeddings[row]).tolist()
            candidates = [
                Candidate(words, s.log_probability, cosine, *of_words, other)
                for words, (s, other), of_words, cosine in zip(
                    sentences[row], found[row], evidence[row], cosines, strict=True
                )
            ]
            kept = (
                list(range(len(candidates)))
                if self.config.decoder_alone
                else without_repetition(candidates)
            )
            out.append(self._rank([candidates[one] for one in kept], vectors[first:end][kept]))
        return out

    def _rank(self, candidates: Sequence[Candidate], vectors: FloatArray) -> list[Candidate]:
        config = self.config
        if config.reranker:
            return config.reranker.rank(candidates, vectors)
        return rerank(
            candidates,
            length_penalty=config.length_penalty,
            joint_weight=config.joint_weight,
            pmi_weight=config.pmi_weight,
        )

    def _search(
        self, features: Features, shortlist: IntArray | None, widths: Mapping[int, int]
    ) -> list[list[tuple[Sentence, bool]]]:
        """Sentences of each photo, all different, and whether each is in the other style."""
        config = self.config
        found: list[dict[tuple[int, ...], tuple[Sentence, bool]]] = [{} for _ in features.pooled]
        for start, width in widths.items():
            if not width:
                continue
            sentences = search(
                self._stepper,
                features,
                shortlist=shortlist,
                beam_width=width,
                length_penalty=config.length_penalty,
                max_length=config.max_length,
                start=start,
            )
            for own, more in zip(found, sentences, strict=True):
                for each in more:
                    own.setdefault(each.tokens, (each, start == OTHER_STYLE))
        return [list(own.values()) for own in found]

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
