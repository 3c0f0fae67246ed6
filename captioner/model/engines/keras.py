"""The Keras engine: runs an encoder on whatever device the Keras backend has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.backend import keras
from captioner.model.encoders import TrainedEncoder
from captioner.types import Features, PixelArray


class KerasEngine:
    """Encodes in large batches, on GPUs in mixed precision.

    Parameters
    ----------
    trained
        The encoder with its weights.
    batch_size
        Photos per batch.
    grid
        Compute the feature map as well.
    """

    def __init__(self, trained: TrainedEncoder, *, batch_size: int, grid: bool = False) -> None:
        if gpu_present():
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        self.batch_size = batch_size
        self.name = f"Keras on {keras.backend.backend()}"
        network = trained.network()
        outputs = {"pooled": network.output}
        if grid:
            if trained.architecture.grid is None:
                raise CaptionerError(f"the encoder {trained.encoder.name} has no feature map.")
            outputs["grid"] = network.get_layer(trained.architecture.grid).output
        self._model = keras.Model(network.input, outputs)
        # XLA on CPUs is slower than the plain graph by an order of magnitude.
        self._model.compile(jit_compile=gpu_present())

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch, in order; short batches are padded to one static shape."""
        for batch in batches:
            full = np.zeros((self.batch_size, *batch.shape[1:]), np.uint8)
            full[: len(batch)] = batch
            outputs: dict[str, Any] = self._model.predict_on_batch(full)
            yield Features(
                **{name: np.asarray(x, np.float32)[: len(batch)] for name, x in outputs.items()}
            )


def gpu_present() -> bool:
    """Whether the Keras backend in use sees a GPU."""
    backend = keras.backend.backend()
    if backend in {"openvino", "numpy"}:
        return False
    return bool(keras.distribution.list_devices("gpu"))
