"""The output layer of a decoder in NumPy: from its last hidden layer to word probabilities."""

from __future__ import annotations

import itertools

import numpy as np

from captioner.model.decoders.interface import IntArray
from captioner.types import FloatArray


class OutputLayer:
    """softmax(y @ kernel + bias), for the whole vocabulary or for a shortlist of each photo.

    Hidden layers have one more unit here, which is always 1, so that the bias is a row of the
    kernel: see `with_one`.

    Parameters
    ----------
    kernel, bias
        (F, V) and (V,).
    """

    def __init__(self, kernel: FloatArray, bias: FloatArray) -> None:
        self._weights = np.vstack([kernel, bias])
        self.vocabulary_size = len(bias)

    def rows(self, shortlist: IntArray | None) -> FloatArray | None:
        """Its weights for some tokens alone, (N, K) to (N, K, F + 1); None for all tokens."""
        return None if shortlist is None else self._weights.T[shortlist]

    def probabilities(self, y: FloatArray, photos: IntArray, rows: FloatArray | None) -> FloatArray:
        """Probabilities of the next word (R, V) or (R, K).

        Parameters
        ----------
        y
            The hidden layer (R, F + 1), its last unit 1.
        photos
            The photo of each hypothesis (R,); hypotheses of one photo are adjacent.
        rows
            From `rows`; None for all words.
        """
        if rows is None:
            p = y @ self._weights
        else:
            p = np.empty((len(y), rows.shape[1]), np.float32)
            for first, end in blocks(photos):
                np.dot(y[first:end], rows[photos[first]].T, out=p[first:end])
        return softmax(p)


def with_one(y: FloatArray) -> FloatArray:
    """A hidden layer with a last unit that is always 1, (R, F) to (R, F + 1)."""
    return np.pad(y, ((0, 0), (0, 1)), constant_values=1)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities along the last axis, in place."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits *= 1 / logits.sum(axis=-1, keepdims=True)
    return logits


def blocks(photos: IntArray) -> list[tuple[int, int]]:
    """First row and end of the hypotheses of each photo, which are adjacent."""
    bounds = [*np.flatnonzero(np.diff(photos, prepend=-1)).tolist(), len(photos)]
    return list(itertools.pairwise(bounds))
