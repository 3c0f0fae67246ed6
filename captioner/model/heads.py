"""The word head and the joint space at work: NumPy alone, so that searching needs no engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from captioner.model.vocabulary import stem
from captioner.types import FloatArray, Keyword

KEYWORD_PROBABILITY = 0.15
"""A word less likely than this is no keyword."""


class WordHead:
    """feature → hidden layer → one logit for each word stem.

    Parameters
    ----------
    arrays
        `hidden.kernel` (2048, H), `hidden.bias`, `stems.kernel` (H, stems + concepts),
        `stems.bias`, and `stems.usual`: log of the share of all captions that use each stem. Where
        there are concepts, `kinds.kernel` (H, kinds) and `kinds.bias`: what the concepts are.
    stems, surfaces
        The stems, and for each the word that a keyword shows.
    """

    def __init__(
        self, arrays: Mapping[str, FloatArray], stems: Sequence[str], surfaces: Sequence[str]
    ) -> None:
        self._arrays = arrays
        self._surfaces = surfaces
        self._column = {name: number for number, name in enumerate(stems)}

    def hidden(self, features: FloatArray) -> FloatArray:
        """(N, 2048) → (N, H): what the index keeps."""
        return np.maximum(features @ self._arrays["hidden.kernel"] + self._arrays["hidden.bias"], 0)

    def keywords(self, hidden: FloatArray, count: int) -> list[tuple[Keyword, ...]]:
        """For each row of (N, H) up to `count` words, most probable first."""
        probability = _sigmoid(self._logits(hidden))
        best = np.argsort(-probability, axis=1, kind="stable")[:, :count]
        return [
            tuple(
                Keyword(self._surfaces[column], round(float(row[column]), 4))
                for column in columns
                if row[column] >= KEYWORD_PROBABILITY
            )
            for row, columns in zip(probability, best, strict=True)
        ]

    def judge(
        self, hidden: FloatArray, sentences: Sequence[Sequence[Sequence[str]]]
    ) -> list[list[tuple[float, float, float]]]:
        """Support, belief and doubt: what the photo says of the words of each of its sentences.

        Support is the sum over a sentence's stems of log p(stem | photo) - log p(stem): how much
        more likely the photo makes them than usual. Belief is their mean probability, doubt is
        -log p of the least likely one; both 0 where the head knows none.

        Parameters
        ----------
        hidden
            (N, H).
        sentences
            For each photo its sentences, as lists of words.
        """
        log_p = log_probability(self._logits(hidden))
        stems = [self._columns(sentence) for some in sentences for sentence in some]
        counts = np.array([len(some) for some in stems], np.intp)
        columns = np.fromiter(chain.from_iterable(stems), np.intp, counts.sum())
        photos = np.repeat(np.arange(len(sentences)), [len(some) for some in sentences])
        seen = log_p[np.repeat(photos, counts), columns]
        support = _runs(np.add, seen - self._arrays["stems.usual"][columns], counts)
        belief = _runs(np.add, np.exp(seen), counts) / np.maximum(counts, 1)
        doubt = -_runs(np.minimum, seen, counts)
        judged = iter(zip(support.tolist(), belief.tolist(), doubt.tolist(), strict=True))
        return [[next(judged) for _ in some] for some in sentences]

    def places_of(self, asked: Sequence[str]) -> npt.NDArray[np.intp]:
        """Where `logits_at` finds the stem of each word; -1 for stems it does not know."""
        return np.array([self._column.get(stem(word), -1) for word in asked], np.intp)

    def logits_at(self, hidden: FloatArray, places: npt.NDArray[np.intp]) -> FloatArray:
        """(N, H) → (N, words): the logits at some places, -inf at -1."""
        logits = self._logits(hidden)
        unknown = np.full((len(logits), 1), -np.inf, np.float32)
        return np.hstack([logits, unknown])[:, places]

    def concepts(self, hidden: FloatArray) -> FloatArray:
        """Probability of each concept, (N, concepts)."""
        return _sigmoid(self._logits(hidden, concepts=True))

    def _logits(self, hidden: FloatArray, *, concepts: bool = False) -> FloatArray:
        """Of the stems, or of the concepts after them."""
        stems = len(self._surfaces)
        part = slice(stems, None) if concepts else slice(stems)
        return hidden @ self._arrays["stems.kernel"][:, part] + self._arrays["stems.bias"][part]

    def _columns(self, asked: Sequence[str]) -> list[int]:
        return sorted({self._column[s] for s in map(stem, asked) if s in self._column})

    def knows(self, word: str) -> bool:
        """Whether captions used the word, with whatever ending."""
        return stem(word) in self._column

    def stems(self, asked: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """The known stems of some words: their kernel (H, stems) and bias (stems,)."""
        columns = self._columns(asked)
        return self._arrays["stems.kernel"][:, columns], self._arrays["stems.bias"][columns]

    def things(self, rows: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Concepts, and kinds numbered on after them: their kernel (H, rows) and bias (rows,).

        Without those that this head was not taught.
        """
        stems, concepts = len(self._surfaces), self._arrays["stems.bias"].size
        columns = [stems + row for row in rows if stems + row < concepts]
        kernel, bias = self._arrays["stems.kernel"][:, columns], self._arrays["stems.bias"][columns]
        if "kinds.bias" in self._arrays:
            kinds = [stems + row - concepts for row in rows if stems + row >= concepts]
            kernel = np.hstack([kernel, self._arrays["kinds.kernel"][:, kinds]])
            bias = np.concatenate([bias, self._arrays["kinds.bias"][kinds]])
        return kernel, bias


def log_probability(logits: FloatArray) -> FloatArray:
    """Logarithm of the logistic function; a sixth of the time that `np.logaddexp` takes."""
    return np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))


class JointSpace:
    """Photos and sentences as unit vectors of 256 numbers: near where they mean the same.

    A sentence is the weighted mean of its words' vectors. A word that training never saw borrows
    the vectors of the words with its stem.

    Parameters
    ----------
    arrays
        `image.kernel` (2048, D), `image.bias`, `text.vectors` (W, D), `text.weights` (W,),
        `text.bias`.
    vocabulary
        The words of `text.vectors`; number 0 is no word.
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
        """(N, 2048) → (N, D), of unit length."""
        return _unit(features @ self._arrays["image.kernel"] + self._arrays["image.bias"])

    def text(self, sentences: Sequence[Sequence[str]]) -> FloatArray:
        """Sentences as lists of words → (N, D), of unit length; zeros where no word is known."""
        rows: list[int] = []
        share: list[float] = []
        counts = np.zeros(len(sentences), np.intp)
        for number, sentence in enumerate(sentences):
            for word in sentence:
                known = self._row.get(word)
                found = [known] if known is not None else self._same_stem.get(stem(word), [])
                rows += found
                share += [1 / max(1, len(found))] * len(found)
                counts[number] += len(found)
        index: npt.NDArray[np.intp] = np.array(rows, np.intp)
        weight = self._arrays["text.weights"][index] * np.array(share, np.float32)
        total = _runs(np.add, weight[:, None], counts)
        vectors = _runs(np.add, weight[:, None] * self._arrays["text.vectors"][index], counts)
        known_any = counts > 0
        vectors[known_any] = _unit(
            vectors[known_any] / total[known_any] + self._arrays["text.bias"]
        )
        return vectors


def _runs(reduce: np.ufunc, values: FloatArray, counts: npt.NDArray[np.intp]) -> FloatArray:
    """Runs of rows of `values` (N, ...), each reduced to one, 0 for none: (len(counts), ...)."""
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
