"""A toy decoder, whose next word depends on the photo and on the last word alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from captioner.types import Features, FloatArray

if TYPE_CHECKING:
    import keras

kind = "bigram"
needs_grid = False
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Sizes:
    embedding: int = 8


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    from captioner.model.backend import keras

    feature = keras.Input((feature_size,), name="feature")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    words = keras.layers.Embedding(vocabulary_size, sizes.embedding, name="word")(tokens)
    image = keras.layers.Dense(sizes.embedding, use_bias=False, name="image")(feature)
    merged = keras.ops.tanh(words + keras.ops.expand_dims(image, 1))
    logits = keras.layers.Dense(vocabulary_size, name="output")(merged)
    return keras.Model({"feature": feature, "tokens": tokens}, logits)


_WEIGHTS = (
    ("word", "embeddings"), ("image", "kernel"), ("output", "kernel"), ("output", "bias"),
)  # fmt: skip


def arrays(model: keras.Model) -> dict[str, FloatArray]:
    return {
        f"{layer}.{name}": np.array(getattr(model.get_layer(layer), name))
        for layer, name in _WEIGHTS
    }


def set_arrays(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    for layer, name in _WEIGHTS:
        getattr(model.get_layer(layer), name).assign(arrays[f"{layer}.{name}"])


def stepper(arrays: Mapping[str, FloatArray]) -> BigramStepper:
    return BigramStepper(arrays)


class BigramStepper:
    """Its states are the numbers of tokens so far, which it does not need."""

    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        self._arrays = arrays
        self.vocabulary_size = len(arrays["output.bias"])

    def start(
        self, features: Features, shortlist: IntArray | None = None
    ) -> tuple[tuple[FloatArray, IntArray | None], npt.NDArray[Any]]:
        image = features.pooled @ self._arrays["image.kernel"]
        return (image, shortlist), np.zeros((len(features), 1), np.int16)

    def step(
        self,
        photos: tuple[FloatArray, IntArray | None],
        rows: IntArray,
        states: npt.NDArray[Any],
        tokens: IntArray,
    ) -> tuple[FloatArray, npt.NDArray[Any]]:
        image, shortlist = photos
        merged = np.tanh(self._arrays["word.embeddings"][tokens] + image[rows])
        logits = merged @ self._arrays["output.kernel"] + self._arrays["output.bias"]
        if shortlist is not None:
            logits = np.take_along_axis(logits, shortlist[rows], axis=1)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True), states + 1
