"""Engines: what runs an encoder's network. OpenVINO on CPUs, Keras on GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from captioner.app_paths import usable_cache
from captioner.errors import UsageError
from captioner.model.bundle import Bundle
from captioner.model.encoders import StoredEncoder, TrainedEncoder
from captioner.model.options import FEW_PHOTOS
from captioner.types import Features, PixelArray

CPU_BATCH, GPU_BATCH = 16, 256


class Engine(Protocol):
    """Runs an encoder."""

    name: str
    batch_size: int
    """Photos it takes at once."""

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch (n, size, size, 3), in order, n at most `batch_size`."""
        ...


def start_engine(
    bundle: Bundle,
    device: str,
    precision: str,
    batch_size: int | None,
    *,
    photos: int | None = None,
    grid: bool = False,
) -> Engine:
    """Start the engine for a device with the encoder of a bundle.

    Parameters
    ----------
    device
        "cpu" is OpenVINO, "gpu" and "keras" are Keras; "auto" is a GPU if the Keras backend has
        one, and OpenVINO otherwise.
    precision
        Arithmetic of OpenVINO.
    batch_size
        Photos per batch. None: what suits the device and the number of photos.
    photos
        How many photos there are to encode, if that is known.
    grid
        Compute the feature map as well.

    Raises
    ------
    UsageError
        If a GPU is asked for and there is none.
    CaptionerError
        If the bundle's encoder is damaged, unknown, or cannot run there.
    """
    if device == "gpu" or (device == "auto" and _gpu_likely()):
        from captioner.model.engines.keras import KerasEngine, gpu_present

        if gpu_present():
            trained = TrainedEncoder.read(bundle, int8=False)
            return KerasEngine(trained, batch_size=batch_size or GPU_BATCH, grid=grid)
        if device == "gpu":
            raise UsageError(
                "--device gpu: the Keras backend sees no GPU.",
                "Run pip install 'captioner[gpu]' on a machine with one, or use --device cpu.",
            )
    size = batch_size or CPU_BATCH
    if device == "keras":
        from captioner.model.engines.keras import KerasEngine

        return KerasEngine(TrainedEncoder.read(bundle, int8=False), batch_size=size, grid=grid)
    from captioner.model.engines.openvino import OpenVINOEngine

    encoder = StoredEncoder(bundle, int8=precision == "int8")
    few = photos is not None and photos <= FEW_PHOTOS
    if few and batch_size is None:
        size = 1
    start = partial(
        OpenVINOEngine, encoder, precision=precision, batch_size=size, grid=grid, few=few
    )
    if cache := usable_cache("openvino"):
        try:
            return start(cache=cache)
        except (RuntimeError, OSError):  # the cache: its disk is full, or has an error
            pass
    return start()


def _gpu_likely() -> bool:
    # Importing a Keras backend takes seconds: do so only if there is a driver.
    return Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()
