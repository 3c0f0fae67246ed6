"""Keras on TensorFlow: one `tf.function` for each device, compiled by XLA on GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from captioner.app_paths import usable_cache
from captioner.model.backend.interface import Device
from captioner.types import FloatArray, PixelArray

if TYPE_CHECKING:
    import keras

label = "TensorFlow"
install = "pip install 'captioner[gpu]'"
policy = "mixed_bfloat16"
errors: tuple[type[Exception], ...] = (tf.errors.OpError, RuntimeError)


def jit_compile(*, fuses: bool) -> bool:
    """XLA on GPUs alone; the plain graph has CUDA's own LSTM, which is faster than XLA's."""
    return fuses and bool(gpus())


def seed_step(step: int) -> None:
    """Nothing: the state of random numbers is part of the model."""


def gpus() -> Sequence[Device]:
    """GPUs that TensorFlow can use; see `interface.Runtime`."""
    try:
        if not tf.config.list_physical_devices("GPU"):
            return []
        # The only place where TensorFlow says how much memory it may take.
        from tensorflow.python.client import device_lib

        limits = {
            each.name.lower().removeprefix("/device:"): int(each.memory_limit)
            for each in device_lib.list_local_devices("GPU")
        }
        return [
            Device(name, _model(number), limits.get(name))
            for number, name in enumerate(_names("GPU"))
        ]
    except errors:
        return []


def cpus() -> Sequence[Device]:
    """The CPU, and its further logical devices, if it was divided."""
    return [Device(name, "CPU") for name in _names("CPU")]


def _names(kind: str) -> list[str]:
    count = len(tf.config.list_logical_devices(kind))
    return [f"{kind.lower()}:{number}" for number in range(count)]


def _model(number: int) -> str:
    found = tf.config.list_physical_devices("GPU")
    if number >= len(found):  # divided into several logical devices
        return "GPU"
    return str(tf.config.experimental.get_device_details(found[number]).get("device_name", "GPU"))


def prepare() -> None:
    """Keep what XLA compiles; TensorFlow reads this flag when it first uses a device."""
    flags = os.environ.get("TF_XLA_FLAGS", "")
    folder = usable_cache("tensorflow")
    if folder and "tf_xla_persistent_cache_directory" not in flags and " " not in str(folder):
        cache = f"--tf_xla_persistent_cache_directory={folder.absolute()}"
        os.environ["TF_XLA_FLAGS"] = f"{flags} {cache}".strip()


def replica(network: keras.Model, device: Device) -> _Function:
    """A network on a device; see `interface.Runtime`."""
    return _Function(network, device)


class _Function:
    """A network as a `tf.function`."""

    def __init__(self, network: keras.Model, device: Device) -> None:
        self._device = device.name
        # XLA on CPUs is slower than the plain graph by an order of magnitude.
        self._run = tf.function(
            lambda pixels: network(pixels, training=False),
            jit_compile=device.is_gpu, autograph=False,
        )  # fmt: skip

    def start(self, pixels: PixelArray) -> Any:
        """Start a batch; TensorFlow waits for what runs on CPUs."""
        with tf.device(self._device):
            return self._run(tf.constant(pixels))

    def finish(self, started: Any) -> dict[str, FloatArray]:
        """Wait for a batch."""
        return {name: np.asarray(output, np.float32) for name, output in started.items()}
