"""The pre-inject decoder: the photo is the LSTM's first input, as if it were a word; see `inject`.

That is Show and Tell (Vinyals et al., "Show and Tell: A Neural Image Caption Generator", CVPR
2015). What the LSTM gives after the photo alone is not used: the start token comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from captioner.model.decoders.inject import (
    InjectNetwork,
    InjectSizes,
    InjectStepper,
    arrays,
    set_arrays,
)
from captioner.model.decoders.lstm import lstm_step
from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras

__all__ = ["Sizes", "arrays", "kind", "needs_grid", "network", "set_arrays", "stepper"]

kind = "pre-inject"
needs_grid = False
Sizes = InjectSizes


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    """The Keras network over whole sentences, for training with teacher forcing."""
    from captioner.model.backend import keras

    parts = InjectNetwork(vocabulary_size, sizes, feature_size, sizes.embedding)
    (image,) = parts.images
    inputs = keras.ops.concatenate([keras.ops.expand_dims(image, 1), parts.words], axis=1)
    return parts.model(parts.lstm(inputs)[:, 1:], "pre_inject_decoder")


def stepper(arrays: Mapping[str, FloatArray]) -> PreInjectStepper:
    """The decoder with these weights in NumPy."""
    return PreInjectStepper(arrays)


class PreInjectStepper(InjectStepper):
    """Its weights are those of `InjectStepper`; the photo's vector is as long as a word's."""

    def begin(self, features: FloatArray) -> tuple[FloatArray, FloatArray, None]:
        """The state after the photo as an input."""
        gates = self.project_image(features) @ self._arrays["lstm.kernel"]
        gates += self._arrays["lstm.bias"]
        h, c = lstm_step(gates, np.zeros((len(features), self.units), np.float32))
        return h, c, None
