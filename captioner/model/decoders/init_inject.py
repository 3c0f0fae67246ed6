"""The init-inject decoder: the photo is the LSTM's initial state; see `inject`.

An LSTM's state is h and c, and each has its own projection of the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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

kind = "init-inject"
needs_grid = False
Sizes = InjectSizes


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    """The Keras network over whole sentences, for training with teacher forcing."""
    images = ("image", "image_cell")
    parts = InjectNetwork(vocabulary_size, sizes, feature_size, sizes.lstm, images)
    language = parts.lstm(parts.words, initial_state=parts.images)
    return parts.model(language, "init_inject_decoder")


def stepper(arrays: Mapping[str, FloatArray]) -> InitInjectStepper:
    """The decoder with these weights in NumPy."""
    return InitInjectStepper(arrays)


class InitInjectStepper(InjectStepper):
    """Its weights are those of `InjectStepper`, `image_cell.kernel` and `image_cell.bias`."""

    def begin(self, features: FloatArray) -> tuple[FloatArray, FloatArray, None]:
        """h and c are two projections of the features."""
        return self.project_image(features), self.project_image(features, "image_cell"), None
