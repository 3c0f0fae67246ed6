"""Scheduled sampling: some of the words that a decoder is fed in training are its own.

Bengio et al., "Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks" (NIPS
2015). With teacher forcing a decoder never meets its own mistakes. Here each word of a caption is
replaced, with a probability that grows from 0 over the run, by one sampled from what the decoder
says after the words before it, some of which are its own already. The words to be predicted stay
those of the caption.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from captioner.model.backend import keras
from captioner.model.decoders import Decoder, Stepper
from captioner.model.vocabulary import SPECIAL_TOKENS
from captioner.training.fit import Batch, Schedule
from captioner.types import Features

IntArray = npt.NDArray[np.int32]
_FIRST_WORD = len(SPECIAL_TOKENS)


class ScheduledSampling(keras.Model):
    """A decoder's network, trained on captions with words of its own.

    `train_on_batch` takes the network's inputs and, besides them, `probability` and `seed`, which
    fix what is replaced, so that a resumed run is the same run.
    """

    def __init__(self, kind: Decoder, network: keras.Model) -> None:
        super().__init__(name="scheduled_sampling")
        self._kind, self.network = kind, network

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits of the network."""
        return self.network(inputs, training=training)

    def train_on_batch(self, x: Any, y: Any = None, **options: Any) -> Any:
        """Replace words by sampled ones, and take one step."""
        inputs = {name: x[name] for name in x if name not in ("probability", "seed")}
        if x["probability"] > 0:
            stepper = self._kind.stepper(self._kind.arrays(self.network))
            inputs["tokens"] = with_own_words(
                stepper,
                features_of(inputs),
                inputs["tokens"],
                x["probability"],
                np.random.default_rng(x["seed"]),
            )
        return super().train_on_batch(inputs, y, **options)


def scheduled(
    batches: Callable[[int, int], Batch], schedule: Schedule, highest: float, seed: int
) -> Callable[[int, int], Batch]:
    """Batches for `ScheduledSampling`.

    Parameters
    ----------
    highest
        The probability at the end of the run, 0 to 1; it grows linearly from 0.
    """

    def batch(epoch: int, step: int) -> Batch:
        x, y = batches(epoch, step)
        done = (epoch + step / schedule.steps) / schedule.epochs
        return {**x, "probability": highest * done, "seed": [seed, epoch, step]}, y

    return batch


def with_own_words(
    stepper: Stepper,
    features: Features,
    tokens: IntArray,
    probability: float,
    random: np.random.Generator,
) -> IntArray:
    """Captions (N, T) in which words were replaced by those that the decoder samples there.

    Special tokens are neither replaced nor sampled.
    """
    fed = tokens.copy()
    rows = np.arange(len(tokens))
    photos, states = stepper.start(features)
    for position in range(tokens.shape[1] - 1):
        p, states = stepper.step(photos, rows, states, fed[:, position].astype(np.intp))
        p[:, :_FIRST_WORD] = 0
        np.cumsum(p, axis=1, out=p)
        # A little below 1, so that rounding does not reach past the last word.
        point = p[:, -1:] * (random.random((len(p), 1), np.float32) * np.float32(1 - 1e-6))
        sampled = np.argmax(p > point, axis=1)
        replaced = random.random(len(p)) < probability
        replaced &= tokens[:, position + 1] >= _FIRST_WORD
        fed[replaced, position + 1] = sampled[replaced]
    return fed


def features_of(inputs: dict[str, Any]) -> Features:
    """The features in a network's inputs; a decoder that reads the map needs no pooled ones."""
    if "grid" in inputs:
        return Features(np.empty((len(inputs["grid"]), 0), np.float32), inputs["grid"])
    return Features(inputs["feature"])
