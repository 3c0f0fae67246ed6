"""The par-inject decoder: the photo is beside each word at the LSTM's input; see `inject`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from captioner.model.decoders.inject import (
    InjectNetwork,
    InjectSizes,
    InjectStepper,
    arrays,
    set_arrays,
)
from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras

__all__ = ["Sizes", "arrays", "kind", "needs_grid", "network", "set_arrays", "stepper"]

kind = "par-inject"
needs_grid = False


@dataclass(frozen=True, slots=True)
class Sizes(InjectSizes):
    """Layer sizes of a par-inject decoder."""

    image: int = 256
    """Length of the photo's vector beside each word."""


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    """The Keras network over whole sentences, for training with teacher forcing."""
    from captioner.model.backend import keras

    ops = keras.ops
    parts = InjectNetwork(vocabulary_size, sizes, feature_size, sizes.image)
    (image,) = parts.images
    each_step = ops.expand_dims(image, 1) + ops.zeros_like(parts.words[:, :, :1])
    language = parts.lstm(ops.concatenate([parts.words, each_step], axis=-1))
    return parts.model(language, "par_inject_decoder")


def stepper(arrays: Mapping[str, FloatArray]) -> ParInjectStepper:
    """The decoder with these weights in NumPy."""
    return ParInjectStepper(arrays)


class ParInjectStepper(InjectStepper):
    """Its weights are those of `InjectStepper`; the last rows of `lstm.kernel` are the photo's."""

    def begin(self, features: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The state is zero; the photo's part of the gates is computed once."""
        image = self.project_image(features)
        gates = image @ self._arrays["lstm.kernel"][-image.shape[1] :]
        zero = np.zeros((len(features), self.units), np.float32)
        return zero, zero, gates
