"""The networks as Keras 3 models: for training on any backend, and for encoding on GPUs.

This is the one module outside `training` that imports Keras, and nothing here uses a backend's own
functions. Weights leave and enter as dictionaries of float32 arrays, named as in the bundle.
"""

from __future__ import annotations

import os
import sqlite3  # noqa: F401  before TensorFlow, whose own SQLite, without FTS5, would take its place
from collections.abc import Iterable, Iterator, Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, ops

from captioner.types import FloatArray, PixelArray

Arrays = dict[str, FloatArray]


def encoder(size: int) -> keras.Model:
    """Xception over uint8 (N, size, size, 3), average pooled: log(1 + x) of it, (N, 2048) float32.

    The pooled activations of a ReLU have a long tail; the logarithm tames it for all that follows.
    """
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(photo)
    body = keras.applications.Xception(
        weights=None, include_top=False, pooling="avg", input_tensor=scaled
    )
    # The last cast keeps the features float32 under a mixed precision policy.
    feature = layers.Activation(ops.log1p, dtype="float32", name="feature")(body.output)
    return keras.Model(photo, feature, name="encoder")


def encoder_arrays(model: keras.Model) -> Arrays:
    """All weights of an encoder by name, such as `block5_sepconv1.pointwise_kernel`."""
    return {name: keras.ops.convert_to_numpy(weight) for name, weight in _named_weights(model)}


def set_encoder(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """Load weights by name.

    Raises
    ------
    KeyError
        Where one is missing.
    """
    for name, weight in _named_weights(model):
        weight.assign(arrays[name])


def imagenet_encoder(size: int, weights: str = "imagenet") -> keras.Model:
    """An encoder with Keras' published ImageNet weights.

    Parameters
    ----------
    weights
        "imagenet" has Keras fetch them; otherwise the path of a Keras weights file of
        `keras.applications.Xception` without its top.
    """
    source = keras.applications.Xception(
        weights=None if weights != "imagenet" else weights, include_top=False
    )
    if weights != "imagenet":
        source.load_weights(weights)
    model = encoder(size)
    set_encoder(model, encoder_arrays(source))
    return model


def _named_weights(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    # Keras numbers the four shortcuts ("conv2d_3") over the process: name them by block.
    shortcuts = iter((2, 3, 4, 13))
    block = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        name = layer.name
        if not name.startswith("block"):
            if isinstance(layer, layers.Conv2D):
                block = next(shortcuts)
                name = f"shortcut{block}"
            else:
                name = f"shortcut{block}_bn"
        for weight in layer.weights:
            yield f"{name}.{weight.name}", weight


def freeze_below(model: keras.Model, blocks: int) -> None:
    """Train the last `blocks` of Xception's 14 only; batch normalisation stays frozen in all.

    With batches of 32 its running statistics would drift, and they are the same photos' anyway.
    """
    first = 14 - blocks + 1
    seen = 0
    shortcuts = iter((2, 3, 4, 13))
    for layer in model.layers:
        if layer.name.startswith("block"):
            seen = int(layer.name[5:].split("_")[0])
        own = next(shortcuts) if layer.name.startswith("conv2d") else seen
        frozen = isinstance(layer, layers.BatchNormalization) or own < first
        layer.trainable = not frozen


class KerasEngine:
    """Encodes on whatever device the Keras backend has: large batches, mixed precision on GPUs."""

    def __init__(self, arrays: Mapping[str, FloatArray], size: int, batch_size: int) -> None:
        if gpu_present():
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.batch_size = batch_size
        self.name = f"Keras on {keras.backend.backend()}"
        self._model = encoder(size)
        set_encoder(self._model, arrays)
        # XLA on CPUs is slower than the plain graph by an order of magnitude.
        self._model.compile(jit_compile=gpu_present())

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[FloatArray]:
        """Features of each batch, in order; short batches are padded to one static shape."""
        for batch in batches:
            full = np.zeros((self.batch_size, *batch.shape[1:]), np.uint8)
            full[: len(batch)] = batch
            yield np.asarray(self._model.predict_on_batch(full), np.float32)[: len(batch)]


def gpu_present() -> bool:
    """Whether the Keras backend in use sees a GPU."""
    backend = keras.backend.backend()
    if backend in {"openvino", "numpy"}:
        return False
    return bool(keras.distribution.list_devices("gpu"))
