"""Keras on JAX: one function for each device, compiled by XLA and kept in a cache on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from captioner.app_paths import usable_cache
from captioner.model.backend.interface import Device
from captioner.types import FloatArray, PixelArray

if TYPE_CHECKING:
    import keras

label = "JAX"
install = "pip install 'captioner[gpu-jax]'"
policy = "mixed_bfloat16"
errors: tuple[type[Exception], ...] = (RuntimeError,)  # XLA's errors are derived from it

_GPU_OPTIONS = {"xla_gpu_autotune_level": 1}
"""Time each convolution's algorithms, but do not compare their results with each other (levels 2 to
4), which takes most of the time of a compilation."""


def jit_compile(*, fuses: bool) -> bool:
    """Always: Keras' training steps on JAX are eager otherwise."""
    return True


def seed_step(step: int) -> None:
    """Nothing: the state of random numbers is part of the model."""


def gpus() -> Sequence[Device]:
    """GPUs that JAX can use; see `interface.Runtime`."""
    return _devices("gpu")


def cpus() -> Sequence[Device]:
    """The CPU: several devices with XLA_FLAGS=--xla_force_host_platform_device_count=N."""
    return _devices("cpu")


def _devices(kind: str) -> list[Device]:
    try:
        found = jax.local_devices(backend=kind)
    except RuntimeError:  # no such device, or its plug-in does not work
        return []
    return [
        Device(f"{kind}:{number}", str(device.device_kind), _free_memory(device))
        for number, device in enumerate(found)
    ]


def _free_memory(device: Any) -> int | None:
    try:
        statistics = device.memory_stats() or {}
        return int(statistics["bytes_limit"]) - int(statistics.get("bytes_in_use", 0))
    except (KeyError, RuntimeError, NotImplementedError, AttributeError):
        return None


def prepare() -> None:
    """Keep what is compiled for GPUs; a folder that the user has chosen stays.

    Programs for CPUs are not kept: one of a newer CPU would crash an older one.
    """
    chosen = jax.config.jax_compilation_cache_dir
    if not chosen and gpus() and (folder := usable_cache("jax")):
        jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def replica(network: keras.Model, device: Device) -> _Function:
    """A network on a device; see `interface.Runtime`."""
    return _Function(network, device)


class _Function:
    """A network as one compiled function; its weights are an argument, kept on the device."""

    def __init__(self, network: keras.Model, device: Device) -> None:
        kind, _, number = device.name.partition(":")
        self._device = jax.local_devices(backend=kind)[int(number)]
        self._weights = jax.device_put(
            (
                [variable.value for variable in network.trainable_variables],
                [variable.value for variable in network.non_trainable_variables],
            ),
            self._device,
        )

        def run(weights: Any, pixels: Any) -> Any:
            outputs, _ = network.stateless_call(*weights, pixels, training=False)
            return outputs

        options = _GPU_OPTIONS if device.is_gpu else None
        self._run = jax.jit(run, compiler_options=options)

    def start(self, pixels: PixelArray) -> Any:
        """Start a batch, and the copy of its result."""
        outputs = self._run(self._weights, jax.device_put(pixels, self._device))
        for output in outputs.values():
            output.copy_to_host_async()
        return outputs

    def finish(self, started: Any) -> dict[str, FloatArray]:
        """Wait for a batch."""
        return {name: np.asarray(output).astype(np.float32) for name, output in started.items()}
