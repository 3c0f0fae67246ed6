"""The heads on the encoder's features: word head and joint space, in NumPy alone.

So searching needs no engine. `captioner.model.head_networks` has the same for training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from captioner.model.vocabulary import stem
from captioner.model.word_classes import keyword_form, word_class
from captioner.types import FloatArray, Keyword

KEYWORD_PROBABILITY = 0.15
"""Words less probable than this are not shown as keywords."""


class WordEvidence(NamedTuple):
    """How well the words of a sentence fit a photo, by the word head."""

    pmi: float
    """Sum over the sentence's stems of log p(stem | photo) - log p(stem): the pointwise mutual
    information (Church and Hanks 1990) of its words and the photo."""
    mean_probability: float
    """Mean of p(stem | photo); 0 where the head knows none of the stems."""
    min_log_probability: float
    """log p(stem | photo) of the least likely stem; 0 where the head knows none."""


class WordHead:
    """A multi-label classifier: feature → hidden layer → one logit for each word stem.

    Parameters
    ----------
    arrays
        `hidden.kernel` (F, H), `hidden.bias`, `stems.kernel` (H, stems + concepts),
        `stems.bias`, and `stems.usual`: the log prior, the logarithm of the share of all captions
        that use each stem. Where there are concepts, `kinds.kernel` (H, hypernyms) and
        `kinds.bias`: the hypernyms of the concepts.
    stems, display_words
        The stems, and for each the word that is shown as a keyword.
    """

    def __init__(
        self, arrays: Mapping[str, FloatArray], stems: Sequence[str], display_words: Sequence[str]
    ) -> None:
        self._arrays = arrays
        self._display_words = display_words
        self._column = {name: number for number, name in enumerate(stems)}
        self._column_of_word = {word: number for number, word in enumerate(display_words)}

    def hidden(self, features: FloatArray) -> FloatArray:
        """The hidden layer, which the index stores: (N, F) → (N, H)."""
        return np.maximum(features @ self._arrays["hidden.kernel"] + self._arrays["hidden.bias"], 0)

    def keywords(self, hidden: FloatArray, count: int) -> list[tuple[Keyword, ...]]:
        """For each row of (N, H) up to `count` things and actions, most probable first."""
        logits = self._logits(hidden)[:, self._keyword_columns]
        probability = _sigmoid(logits)
        best = np.argsort(-probability, axis=1, kind="stable")[:, :count]
        return [
            tuple(
                Keyword(self._keywords[column], round(float(row[column]), 4))
                for column in columns
                if row[column] >= KEYWORD_PROBABILITY
            )
            for row, columns in zip(probability, best, strict=True)
        ]

    @cached_property
    def _keyword_columns(self) -> npt.NDArray[np.intp]:
        """The columns of stems that make keywords."""
        known = (column for column, word in enumerate(self._display_words) if word_class(word))
        return np.fromiter(known, np.intp)

    @cached_property
    def _keywords(self) -> list[str]:
        """What is shown for each of `_keyword_columns`; actions in their form in -ing."""
        words = (self._display_words[column] for column in self._keyword_columns)
        return [keyword_form(word) for word in words]

    def evidence(
        self, hidden: FloatArray, sentences: Sequence[Sequence[Sequence[str]]]
    ) -> list[list[WordEvidence]]:
        """How well the words of each photo's sentences fit the photo.

        Parameters
        ----------
        hidden
            (N, H).
        sentences
            For each photo its sentences, as lists of words.
        """
        log_p = log_probability(self._logits(hidden))
        stems = [self._columns(sentence) for photo in sentences for sentence in photo]
        counts = np.array([len(columns) for columns in stems], np.intp)
        columns = np.fromiter(chain.from_iterable(stems), np.intp, counts.sum())
        photos = np.repeat(np.arange(len(sentences)), [len(photo) for photo in sentences])
        given = log_p[np.repeat(photos, counts), columns]
        pmi = _reduce_runs(np.add, given - self._arrays["stems.usual"][columns], counts)
        mean = _reduce_runs(np.add, np.exp(given), counts) / np.maximum(counts, 1)
        lowest = _reduce_runs(np.minimum, given, counts)
        each = map(WordEvidence, pmi.tolist(), mean.tolist(), lowest.tolist())
        return [[next(each) for _ in photo] for photo in sentences]

    def columns_of(self, words: Sequence[str]) -> npt.NDArray[np.intp]:
        """For each word the column of its stem, for `logits_at`; -1 for unknown stems."""
        known = self._column_of_word  # stemming takes longer than all else here
        return np.array(
            [known[word] if word in known else self._column.get(stem(word), -1) for word in words],
            np.intp,
        )

    def logits_at(self, hidden: FloatArray, columns: npt.NDArray[np.intp]) -> FloatArray:
        """(N, H) → (N, columns): the logits of some stems, -inf for column -1."""
        logits = self._logits(hidden)
        unknown = np.full((len(logits), 1), -np.inf, np.float32)
        return np.hstack([logits, unknown])[:, columns]

    def concept_probabilities(self, hidden: FloatArray) -> FloatArray:
        """(N, H) → (N, concepts)."""
        return _sigmoid(self._logits(hidden, concepts=True))

    def _logits(self, hidden: FloatArray, *, concepts: bool = False) -> FloatArray:
        """Of the stems, or of the concepts, whose columns come after them."""
        stems = len(self._display_words)
        part = slice(stems, None) if concepts else slice(stems)
        return hidden @ self._arrays["stems.kernel"][:, part] + self._arrays["stems.bias"][part]

    def _columns(self, words: Sequence[str]) -> list[int]:
        return sorted({self._column[s] for s in map(stem, words) if s in self._column})

    def knows(self, word: str) -> bool:
        """Whether training captions used the word, with any ending."""
        return stem(word) in self._column

    def stem_classifier(self, words: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Kernel (H, stems) and bias (stems,) of the known stems of some words."""
        columns = self._columns(words)
        return self._arrays["stems.kernel"][:, columns], self._arrays["stems.bias"][columns]

    def concept_classifier(self, rows: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Kernel (H, rows) and bias (rows,) of concepts, and of hypernyms, numbered after them.

        Rows that this head was not trained on are left out.
        """
        stems, concepts = len(self._display_words), self._arrays["stems.bias"].size
        columns = [stems + row for row in rows if stems + row < concepts]
        kernel, bias = self._arrays["stems.kernel"][:, columns], self._arrays["stems.bias"][columns]
        if "kinds.bias" in self._arrays:
            hypernyms = [stems + row - concepts for row in rows if stems + row >= concepts]
            kernel = np.hstack([kernel, self._arrays["kinds.kernel"][:, hypernyms]])
            bias = np.concatenate([bias, self._arrays["kinds.bias"][hypernyms]])
        return kernel, bias


def log_probability(logits: FloatArray) -> FloatArray:
    """Logarithm of the logistic function, six times as fast as with `np.logaddexp`."""
    return np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))


class JointSpace:
    """A joint embedding of photos and sentences: unit vectors, close where they mean the same.

    A sentence's embedding is the weighted mean of its words' vectors. A word that is not in the
    training captions takes the vectors of the words with its stem.

    Parameters
    ----------
    arrays
        `image.kernel` (F, D), `image.bias`, `text.vectors` (W, D), `text.weights` (W,),
        `text.bias`.
    vocabulary
        The words of the rows of `text.vectors`; row 0 is no word.
    """

    def __init__(self, arrays: Mapping[str, FloatArray], vocabulary: Sequence[str]) -> None:
        self._arrays = arrays
        self._row = {word: number for number, word in enumerate(vocabulary) if number}
        self.dimensions = arrays["text.bias"].shape[0]

    @cached_property
    def _same_stem(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for word, number in self._row.items():
            rows.setdefault(stem(word), []).append(number)
        return rows

    def image(self, features: FloatArray) -> FloatArray:
        """Embeddings of photos: features (N, F) → (N, D), of unit length."""
        return _unit(features @ self._arrays["image.kernel"] + self._arrays["image.bias"])

    def text(self, sentences: Sequence[Sequence[str]]) -> FloatArray:
        """Embeddings of sentences, given as lists of words: (N, D), of unit length.

        Zeros where no word is known.
        """
        rows: list[int] = []
        shares: list[float] = []
        counts = np.zeros(len(sentences), np.intp)
        for number, sentence in enumerate(sentences):
            for word in sentence:
                known = self._row.get(word)
                found = [known] if known is not None else self._same_stem.get(stem(word), [])
                rows += found
                shares += [1 / max(1, len(found))] * len(found)
                counts[number] += len(found)
        index: npt.NDArray[np.intp] = np.array(rows, np.intp)
        weight = self._arrays["text.weights"][index] * np.array(shares, np.float32)
        total = _reduce_runs(np.add, weight[:, None], counts)
        vectors = _reduce_runs(
            np.add, weight[:, None] * self._arrays["text.vectors"][index], counts
        )
        known_any = counts > 0
        vectors[known_any] = _unit(
            vectors[known_any] / total[known_any] + self._arrays["text.bias"]
        )
        return vectors


def _reduce_runs(reduce: np.ufunc, values: FloatArray, counts: npt.NDArray[np.intp]) -> FloatArray:
    """Reduce runs of rows of `values` (N, ...) to one row each, 0 for none: (len(counts), ...)."""
    out = np.zeros((len(counts), *values.shape[1:]), np.float32)
    some = counts > 0
    if some.any():
        starts = (np.cumsum(counts) - counts)[some]
        out[some] = reduce.reduceat(values, starts, axis=0)
    return out


def _sigmoid(logits: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12)
