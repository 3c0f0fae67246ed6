"""The Keras engine: runs an encoder on the GPUs of the back end in use, or on the CPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import Any

import numpy as np

from captioner.errors import CaptionerError
from captioner.model.backend import keras, precision, runtime
from captioner.model.backend.interface import Device, Replica
from captioner.model.encoders import TrainedEncoder
from captioner.model.engines.inference import inference_network
from captioner.types import Features, PixelArray

CPU_BATCH, GPU_BATCH = 16, 512
_SMALLEST_GPU_BATCH = 8
_IN_FLIGHT = 2
"""Batches of each device: while one is encoded, the next is copied."""
_PHOTO_BYTES = 48 << 20
"""GPU memory for a photo of 224 × 224 pixels: feature maps and workspaces, and a reserve."""


class KerasEngine:
    """Encodes in large batches of one static shape: on each device a replica of the network.

    Batches go to the devices in turn, and their features come back in order. Each device has a
    thread that starts its batches: what it starts runs behind Python on GPUs.

    Parameters
    ----------
    trained
        The encoder with its weights.
    batch_size
        Photos per batch. None: what suits the devices and their free memory.
    grid
        Compute the feature map as well.
    devices
        Where to run. None: on all GPUs that the back end sees, or on the CPU if it sees none.

    Raises
    ------
    CaptionerError
        If the encoder has no feature map, or a GPU does not work.
    """

    def __init__(
        self,
        trained: TrainedEncoder,
        *,
        batch_size: int | None = None,
        grid: bool = False,
        devices: Sequence[Device] | None = None,
    ) -> None:
        if grid and trained.architecture.grid is None:
            raise CaptionerError(f"the encoder {trained.encoder.name} has no feature map.")
        self._runtime = runtime()
        self.devices = tuple(devices or self._runtime.gpus() or self._runtime.cpus()[:1])
        if not self.devices:
            raise CaptionerError(
                f"{self._runtime.label} sees no device at all.",
                "Check the environment variables that choose its devices.",
            )
        on_gpu = self.devices[0].is_gpu
        labels = ", ".join(dict.fromkeys(device.label for device in self.devices))
        count = f"{len(self.devices)} × " if len(self.devices) > 1 else ""
        self.name = f"Keras on {self._runtime.label}, {count}{labels}"
        self.batch_size = batch_size or min(batch_for(each, trained.size) for each in self.devices)
        self._size = trained.size
        try:
            with precision(self._runtime.policy if on_gpu else "float32"):
                self._workers = [
                    _Worker(self._replica(trained, device, grid)) for device in self.devices
                ]
            if on_gpu:
                self._warm_up(shrink=batch_size is None)
        except self._runtime.errors as error:
            raise self._failure(error) from error

    def _replica(self, trained: TrainedEncoder, device: Device, grid: bool) -> Replica:
        with keras.device(device.name):
            return self._runtime.replica(inference_network(trained, grid=grid), device)

    def _warm_up(self, *, shrink: bool) -> None:
        """Compile for all devices at once; halve the batch until it fits if `shrink`."""
        while True:
            shape = (self.batch_size, self._size, self._size, 3)
            started = [worker.start(np.zeros(shape, np.uint8)) for worker in self._workers]
            try:
                for worker, running in zip(self._workers, started, strict=True):
                    worker.finish(running)
            except self._runtime.errors as error:
                if not (shrink and _out_of_memory(error)):
                    raise
                if self.batch_size <= _SMALLEST_GPU_BATCH:
                    raise
                self.batch_size //= 2
            else:
                return

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch, in order, while the next batches are already being encoded.

        A short batch is padded with zeros to the static shape.

        Raises
        ------
        CaptionerError
            If a device fails or runs out of memory.
        """
        running: deque[tuple[_Worker, Future[Any], int]] = deque()

        def finish() -> Features:
            worker, started, count = running.popleft()
            try:
                outputs = worker.finish(started)
            except self._runtime.errors as error:
                raise self._failure(error) from error
            return Features(**{name: output[:count] for name, output in outputs.items()})

        workers = cycle(self._workers)
        for batch in batches:
            worker = next(workers)
            running.append((worker, worker.start(self._full(batch)), len(batch)))
            if len(running) >= _IN_FLIGHT * len(self._workers):
                yield finish()
        while running:
            yield finish()

    def _full(self, batch: PixelArray) -> PixelArray:
        """A batch of the static shape."""
        if len(batch) == self.batch_size:
            return np.require(batch, np.uint8, ["C", "W"])
        full = np.zeros((self.batch_size, *batch.shape[1:]), np.uint8)
        full[: len(batch)] = batch
        return full

    def _failure(self, error: Exception) -> CaptionerError:
        if _out_of_memory(error):
            return CaptionerError(
                f"a batch of {self.batch_size} photos does not fit in the memory of the GPU.",
                f"Use --batch-size {max(1, self.batch_size // 2)} or less.",
            )
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        return CaptionerError(
            f"{self.name}: {reason.rstrip('.')}.",
            "Use --device cpu, or another back end: see docs/gpu.md.",
        )


def batch_for(device: Device, size: int) -> int:
    """Photos per batch that suit a device's free memory: a power of two.

    Parameters
    ----------
    size
        Width and height of a photo, pixels.
    """
    if not device.is_gpu:
        return CPU_BATCH
    if device.free_memory is None:
        return GPU_BATCH // 2
    fit = device.free_memory // round(_PHOTO_BYTES * (size / 224) ** 2)
    return min(GPU_BATCH, max(_SMALLEST_GPU_BATCH, 1 << max(0, int(fit).bit_length() - 1)))


class _Worker:
    """A replica and the thread that starts its batches."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")

    def start(self, pixels: PixelArray) -> Future[Any]:
        return self._thread.submit(self._replica.start, pixels)

    def finish(self, started: Future[Any]) -> dict[str, Any]:
        return self._replica.finish(started.result())


def _out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}".lower()
    return any(
        words in text
        for words in (
            "out of memory",
            "outofmemory",
            "resource_exhausted",
            "resourceexhausted",
            "resource exhausted",
        )
    )
