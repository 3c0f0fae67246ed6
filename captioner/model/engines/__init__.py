"""Engines: what runs an encoder's network. OpenVINO on CPUs, Keras on GPUs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from captioner.app_paths import usable_cache
from captioner.errors import CaptionerError, CaptionerWarning, UsageError
from captioner.model.bundle import Bundle
from captioner.model.encoders import StoredEncoder, TrainedEncoder
from captioner.model.options import FEW_PHOTOS
from captioner.types import Features, PixelArray

CPU_BATCH = 16


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
        "cpu" is OpenVINO, "gpu" and "keras" are Keras; "auto" is a GPU if Keras' back end sees one
        that works and there are more than a few photos, and OpenVINO otherwise.
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
        If a GPU is asked for and there is none, or Keras' back end is not installed.
    CaptionerError
        If the bundle's encoder is damaged, unknown, or cannot run there.
    """
    few = photos is not None and photos <= FEW_PHOTOS
    # A GPU takes seconds to start, and OpenVINO less than a second for few photos.
    if device == "gpu" or (device == "auto" and not few and _gpu_likely()):
        engine = _gpu_engine(bundle, batch_size, grid=grid, required=device == "gpu")
        if engine is not None:
            return engine
    if device == "keras":
        from captioner.model.engines.keras import KerasEngine

        trained = TrainedEncoder.read(bundle, int8=False)
        return KerasEngine(trained, batch_size=batch_size, grid=grid)
    size = batch_size or CPU_BATCH
    from captioner.model.engines.openvino import OpenVINOEngine

    encoder = StoredEncoder(bundle, int8=precision == "int8")
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


def _gpu_engine(
    bundle: Bundle, batch_size: int | None, *, grid: bool, required: bool
) -> Engine | None:
    """The Keras engine on all GPUs; None if there is none that works and it is not required."""
    try:
        from captioner.model.backend import runtime
        from captioner.model.engines.keras import KerasEngine

        keras = runtime()
        gpus = keras.gpus()
        if required and not gpus:
            raise UsageError(
                f"--device gpu: {keras.label}, which Keras runs on, sees no GPU.",
                f"Run {keras.install} on a machine with a GPU, choose another back end with "
                "KERAS_BACKEND, or use --device cpu.",
            )
    except UsageError:
        if required:
            raise
        return None
    if not gpus:
        return None
    trained = TrainedEncoder.read(bundle, int8=False)
    try:
        return KerasEngine(trained, batch_size=batch_size, grid=grid, devices=gpus)
    except CaptionerError as error:
        if required:
            raise
        warnings.warn(f"{error.reason} Using the CPU.", CaptionerWarning, stacklevel=2)
        return None


_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Of NVIDIA, of AMD, and of either in Windows' Subsystem for Linux."""


def _gpu_likely() -> bool:
    # Importing a back end of Keras takes seconds: do so only if there is a driver.
    if sys.platform == "win32":
        from ctypes.util import find_library

        return find_library("nvcuda") is not None
    return any(Path(driver).exists() for driver in _DRIVERS)
