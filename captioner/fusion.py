"""Score fusion: several measures of the same photos standardised (z-scores) and added by weight."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from captioner.types import FloatArray

_EPSILON = 1e-6
"""Added to standard deviations, so that a measure that is the same everywhere counts nothing."""


class ScoreFusion(NamedTuple):
    """A weighted sum of z-scores, fitted on one collection and applicable to parts of it."""

    means: FloatArray
    """(P,): of each measure over the collection."""
    weights: FloatArray
    """(P,): what a unit of each measure adds to the fused score."""

    @classmethod
    def fit(
        cls, measures: FloatArray, measure_weights: FloatArray, *, unit_variance: bool = False
    ) -> Self:
        """Fit the means and weights to the measures (N, P) of a whole collection.

        Parameters
        ----------
        measure_weights
            (P,): what each measure counts once it is standardised.
        unit_variance
            Scale the fused scores to a standard deviation of 1 over the collection.
        """
        weights: FloatArray = measure_weights / (measures.std(axis=0) + _EPSILON)
        if unit_variance:
            weights = weights / np.float32((measures @ weights).std() or 1)
        return cls(measures.mean(axis=0), weights)

    def __call__(self, measures: FloatArray) -> FloatArray:
        """Fused scores (N,) of measures (N, P)."""
        return np.asarray((measures - self.means) @ self.weights, np.float32)


def standardise(scores: FloatArray) -> FloatArray:
    """The z-scores of each row of (N, M): standard deviations above the row's mean."""
    mean, deviation = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
    return (scores - mean) / (deviation + _EPSILON)
