"""Fitting of the reranker."""

from __future__ import annotations

import numpy as np
import pytest

from captioner.model.rerank import RANKING_EVIDENCE
from captioner.training.reranking import (
    RatedCandidates,
    cross_validated,
    fit_reranker,
    fit_weights,
)

COSINE, STYLE = RANKING_EVIDENCE.index("cosine"), RANKING_EVIDENCE.index("other_style")


def rated(photos: int, seed: int) -> RatedCandidates:
    """Candidates whose reward is their cosine less half of the style, and noise."""
    random = np.random.default_rng(seed)
    evidence, rewards = [], []
    for count in random.integers(2, 9, photos):
        one = random.normal(size=(count, len(RANKING_EVIDENCE))).astype(np.float32)
        one[:, STYLE] = random.integers(2, size=count)
        evidence.append(one)
        noise = 20 * random.normal(size=count)
        rewards.append((30 * one[:, COSINE] - 50 * one[:, STYLE] + noise).astype(np.float32))
    return RatedCandidates.of(evidence, rewards)


def test_weights_follow_the_reward() -> None:
    examples = rated(400, 1)
    weights = fit_weights(examples)
    assert weights[COSINE] > 0 > weights[STYLE]
    others = np.delete(np.abs(weights), [COSINE, STYLE])
    assert others.max() < 0.3 * weights[COSINE]
    fresh = rated(400, 2)
    random_choice = fresh.chosen(np.zeros(len(RANKING_EVIDENCE), np.float32)).mean()
    best = np.where(fresh.mask > 0, fresh.rewards, -np.inf).max(axis=1).mean()
    assert fresh.chosen(weights).mean() > random_choice + 0.8 * (best - random_choice)
    reranker = fit_reranker(examples)
    assert list(reranker.weights) == list(RANKING_EVIDENCE)
    assert reranker.weights["cosine"] == pytest.approx(weights[COSINE], abs=1e-4)


def test_padding_is_never_chosen() -> None:
    examples = RatedCandidates.of(
        [np.full((1, len(RANKING_EVIDENCE)), -1, np.float32), np.zeros((3, 12), np.float32)],
        [np.array([0.7]), np.array([0.1, 0.2, 0.3])],
    )
    assert examples.mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert examples.chosen(np.ones(12, np.float32)).tolist() == pytest.approx([0.7, 0.1])


def test_cross_validation_keeps_the_views_of_a_photo_together() -> None:
    """A photo that alone rewards one kind of evidence cannot teach that to its other view."""
    examples = rated(60, 3)
    odd = RatedCandidates.of([np.eye(12, dtype=np.float32)[:2]] * 2, [np.array([0.0, 1.0])] * 2)
    width = examples.rewards.shape[1]
    together = RatedCandidates(
        np.concatenate([examples.evidence, np.pad(odd.evidence, ((0, 0), (0, width - 2), (0, 0)))]),
        np.concatenate([examples.rewards, np.pad(odd.rewards, ((0, 0), (0, width - 2)))]),
        np.concatenate([examples.mask, np.pad(odd.mask, ((0, 0), (0, width - 2)))]),
    )
    first = cross_validated(together, [*range(60), 60, 60], seed=0)
    assert len(first) == 62
    assert first[60] == first[61]  # both views are in one fold
    assert first[:60].mean() > examples.chosen(np.zeros(12, np.float32)).mean()
