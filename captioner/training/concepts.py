"""What the published ImageNet encoder knows and captions never teach: its thousand classes.

The classifier of the published network is no part of the weights at hand. One photo a class brings
its knowledge back: a class is the direction of its sample's features, a photo is as much of a class
as its own features lie in that direction. What this teacher says of every training photo is then
learnt by the word head, so that an encoder that is trained further does not forget it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from captioner.training.corpora import Example
from captioner.training.run import Eye
from captioner.types import FloatArray, HalfArray

TEMPERATURE = 0.08
"""Of the cosines' softmax: with it the probability of a name and its use in captions agree best."""
OWN = 0.7
"""Probability that a sample shows its own class, beside what the teacher sees in it."""


def teach(eye: Eye, samples: Sequence[Example], photos: Sequence[Example]) -> HalfArray:
    """The probability of each sample's class in each of `photos`, then in the samples themselves.

    Parameters
    ----------
    eye
        The published encoder as it is.

    Returns
    -------
    float16 (photos + samples, samples).
    """
    shown = eye.features(samples, 4).astype(np.float32)
    seen = eye.features(photos)[:, 0].astype(np.float32)
    every = np.concatenate([seen, shown[:, 0]])
    mean, deviation = every.mean(axis=0), every.std(axis=0) + 1e-3
    prototypes = _unit(_unit((shown - mean) / deviation).mean(axis=1))
    logits = _unit((every - mean) / deviation) @ prototypes.T / TEMPERATURE
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    own = probability[len(seen) :]
    own *= 1 - OWN
    own[np.diag_indices(len(samples))] += OWN
    return probability.astype(np.float16)


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
