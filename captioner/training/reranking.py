"""Fitting of the reranker: weights that maximise the CIDEr of the candidates that come first.

The weights define a softmax over each photo's candidates, and its expected CIDEr is maximised by
gradient ascent: minimum risk training (Shen et al. 2016, "Minimum Risk Training for Neural Machine
Translation") of a linear model. The photos must be held out: the decoder and the heads know those
that they were trained on too well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner.model.rerank import RANKING_EVIDENCE, Reranker
from captioner.types import FloatArray

MIN_PHOTOS = 200
"""Held-out photos that are needed to fit the weights."""
FOLDS = 5
_STEPS, _RATE, _L2 = 150, 0.1, 1e-3
_REWARD_SCALE = 50.0
"""CIDEr × 100, about the standard deviation among a photo's candidates."""


@dataclass(frozen=True, slots=True)
class RatedCandidates:
    """The candidates of some photos, with their rewards; each array is padded by `mask`."""

    evidence: FloatArray
    """(photos, candidates, `RANKING_EVIDENCE`)."""
    rewards: FloatArray
    """CIDEr × 100 of each candidate (photos, candidates)."""
    mask: FloatArray
    """(photos, candidates): 1 for a candidate, 0 for padding."""

    @classmethod
    def of(cls, evidence: Sequence[FloatArray], rewards: Sequence[FloatArray]) -> RatedCandidates:
        """Pad the evidence (candidates, features) and the rewards (candidates,) of each photo."""
        most = max(map(len, rewards))
        padded = [np.pad(one, ((0, most - len(one)), (0, 0))) for one in evidence]
        return cls(
            np.stack(padded).astype(np.float32),
            np.stack([np.pad(one, (0, most - len(one))) for one in rewards]).astype(np.float32),
            np.stack([np.arange(most) < len(one) for one in rewards]).astype(np.float32),
        )

    def where(self, rows: npt.NDArray[np.bool_]) -> RatedCandidates:
        """Those of some photos."""
        return RatedCandidates(self.evidence[rows], self.rewards[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.rewards)

    def chosen(self, weights: FloatArray) -> FloatArray:
        """Rewards of the candidates that these weights put first (photos,)."""
        scores = np.where(self.mask > 0, self.evidence @ weights, -np.inf)
        best = scores.argmax(axis=1)[:, None]
        return np.take_along_axis(self.rewards, best, axis=1)[:, 0]


def fit_weights(rated: RatedCandidates) -> FloatArray:
    """The weights of `RANKING_EVIDENCE`, by Adam on the expected reward of all photos at once."""
    live = rated.mask > 0
    scale = rated.evidence[live].std(axis=0) + 1e-6
    evidence = rated.evidence / scale
    count = rated.mask.sum(axis=1, keepdims=True)
    mean = (rated.rewards * rated.mask).sum(axis=1, keepdims=True) / count
    advantage = (rated.rewards - mean) * rated.mask / _REWARD_SCALE
    weights = np.zeros(evidence.shape[2], np.float32)
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, _STEPS + 1):
        scores = np.where(live, evidence @ weights, -np.inf)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        expected = (p * advantage).sum(axis=1, keepdims=True)
        gradient = np.einsum("pc,pcf->f", p * (advantage - expected), evidence) / len(rated)
        gradient -= _L2 * weights
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        direction = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weights = weights + _RATE * (1 - step / (_STEPS + 1)) * direction
    return np.asarray(weights / scale, np.float32)


def cross_validated(rated: RatedCandidates, photos: Sequence[int], seed: int) -> FloatArray:
    """Rewards of the choice for each row, by weights fitted without its photo (rows,).

    Parameters
    ----------
    photos
        The photo of each row; several views of a photo have one number.
    """
    owner = np.array(photos)
    fold = np.random.default_rng(seed).permutation(owner.max() + 1)[owner] % FOLDS
    out = np.zeros(len(rated), np.float32)
    for number in range(FOLDS):
        own = fold == number
        out[own] = rated.where(own).chosen(fit_weights(rated.where(~own)))
    return out


def fit_reranker(rated: RatedCandidates) -> Reranker:
    """The reranker with the weights of `fit_weights`, rounded for the manifest."""
    weights = fit_weights(rated).tolist()
    return Reranker(
        {name: round(value, 4) for name, value in zip(RANKING_EVIDENCE, weights, strict=True)}
    )
