"""Weights of a Keras network as arrays named by layer path, and which of them are fine-tuned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from captioner.errors import CaptionerError, UsageError
from captioner.model.encoders.interface import Arrays, Encoder
from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras


def digest(arrays: Mapping[str, FloatArray]) -> str:
    """A digest that identifies weights, the same before and after a bundle has stored them."""
    total = hashlib.blake2b(digest_size=8)
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(arrays[name].astype(np.float16).tobytes())  # as a bundle rounds them
    return total.hexdigest()


def get_weights(model: keras.Model) -> Arrays:
    """All weights of a network by layer path, such as `block5_sepconv1.pointwise_kernel`."""
    from captioner.model.backend import keras

    return {_path(weight): keras.ops.convert_to_numpy(weight) for weight in model.weights}


def set_weights(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """Set all weights of a network by layer path.

    Raises
    ------
    CaptionerError
        If one is missing or has another shape.
    """
    check_weights(model, arrays, model.name, model.input_shape[1])
    for weight in model.weights:
        weight.assign(arrays[_path(weight)])


def check_weights(
    model: keras.Model, arrays: Mapping[str, FloatArray], name: str, size: int | None
) -> None:
    """Check that arrays are all weights of an encoder's network for photos of `size` pixels.

    Raises
    ------
    CaptionerError
        If one is missing or has another shape.
    """
    for weight in model.weights:
        path = _path(weight)
        shape = arrays[path].shape if path in arrays else None
        if shape != tuple(weight.shape):
            fault = "is missing" if shape is None else f"has shape {shape}, not {weight.shape}"
            pixels = f" for photos of {size} pixels" if size else ""
            raise CaptionerError(
                f"these are not weights of the encoder {name}{pixels}: {path} {fault}.",
                "Use a bundle or a weights file that was made for this encoder and this --size.",
            )


def _path(weight: keras.Variable) -> str:
    return str(weight.path).replace("/", ".")


def set_trainable(model: keras.Model, encoder: Encoder, stages: int) -> None:
    """Make the last `stages` stages of an encoder trainable, without their batch normalisation.

    In batches of 32 its running statistics would drift, and they are of the same photos anyway.

    Raises
    ------
    UsageError
        If the encoder has fewer stages.
    """
    from captioner.model.backend import keras

    names = list(encoder.stages)
    if not 0 <= stages <= len(names):
        raise UsageError(
            f"--fine-tune {stages}: the encoder {encoder.name} has {len(names)} stages.",
            f"Use a number from 0 to {len(names)}.",
        )
    prefixes = {prefix for name in names[len(names) - stages :] for prefix in encoder.stages[name]}
    for layer in model.layers:
        parts = layer.name.split("_")
        chosen = any("_".join(parts[:end]) in prefixes for end in range(1, len(parts) + 1))
        layer.trainable = chosen and not isinstance(layer, keras.layers.BatchNormalization)
