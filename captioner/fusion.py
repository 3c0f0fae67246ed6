"""Score fusion: several measures of the same photos standardised (z-scores) and added by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from captioner.types import FloatArray

_EPSILON = 1e-6
"""Added to standard deviations, so that a measure that is the same everywhere counts nothing."""


class Moments(NamedTuple):
    """How many photos a collection has, and the means and covariances of their measures."""

    photos: int
    mean: FloatArray
    """(P,)."""
    covariance: FloatArray
    """(P, P)."""

    @classmethod
    def of(cls, measures: FloatArray) -> Self:
        """Those of measures (N, P), N at least 1."""
        mean = measures.mean(axis=0, dtype=np.float64)
        deviations = measures - mean
        return cls(len(measures), mean, deviations.T @ deviations / len(measures))

    @classmethod
    def pooled(cls, parts: Sequence[Moments]) -> Self:
        """Those of a collection, from those of its parts; at least one."""
        counts = np.array([part.photos for part in parts], np.float64)
        shares = counts / counts.sum()
        means = np.stack([part.mean for part in parts])
        mean = shares @ means
        between = means - mean
        covariance = np.einsum("n,npq->pq", shares, np.stack([part.covariance for part in parts]))
        covariance += np.einsum("n,np,nq->pq", shares, between, between)
        return cls(int(counts.sum()), mean, covariance)


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

    @classmethod
    def of_collection(cls, moments: Moments, measure_weights: FloatArray) -> Self:
        """As `fit` with `unit_variance`, from the moments of a collection that is in parts."""
        weights = measure_weights / (np.sqrt(np.diag(moments.covariance)) + _EPSILON)
        weights = weights / (np.sqrt(weights @ moments.covariance @ weights) or 1)
        return cls(moments.mean.astype(np.float32), weights.astype(np.float32))

    def __call__(self, measures: FloatArray) -> FloatArray:
        """Fused scores (N,) of measures (N, P)."""
        return np.asarray((measures - self.means) @ self.weights, np.float32)


def standardise(scores: FloatArray) -> FloatArray:
    """The z-scores of each row of (N, M): standard deviations above the row's mean."""
    mean, deviation = scores.mean(axis=1, keepdims=True), scores.std(axis=1, keepdims=True)
    return (scores - mean) / (deviation + _EPSILON)
