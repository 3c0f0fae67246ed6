"""The Keras engine's batches and devices, with devices that are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.types import FloatArray, PixelArray

pytestmark = pytest.mark.training

pytest.importorskip("keras")
module = pytest.importorskip("captioner.model.engines.keras")
interface = pytest.importorskip("captioner.model.backend.interface")

SIZE = 4
GPUS = tuple(interface.Device(f"gpu:{number}", "H1", 1 << 40) for number in range(2))


class Replica:
    """Its feature of a photo is the photo's first value; it records what it is given."""

    def __init__(self, device: Any, fits: int) -> None:
        self.device, self.fits = device, fits
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.fails = False

    def start(self, pixels: PixelArray) -> PixelArray:
        self.threads.add(threading.get_ident())
        self.batches.append(len(pixels))
        return pixels

    def finish(self, started: PixelArray) -> dict[str, FloatArray]:
        if self.fails:
            raise RuntimeError("the device fell off the bus\nat 0x1")
        if len(started) > self.fits:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
        return {"pooled": started[:, 0, 0, :1].astype(np.float32)}


class Runtime:
    label, policy, errors, install = "Made-up", "float32", (RuntimeError,), "pip install it"

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.replicas: list[Replica] = []

    def gpus(self) -> Any:
        return GPUS

    def cpus(self) -> Any:
        return []

    def replica(self, _: object, device: Any) -> Replica:
        self.replicas.append(Replica(device, self.fits))
        return self.replicas[-1]


class Trained:
    size = SIZE


Start = Callable[..., tuple[Any, list[Replica]]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    def start(*, fits: int = 1 << 30, **options: Any) -> tuple[Any, list[Replica]]:
        runtime = Runtime(fits)
        monkeypatch.setattr(module, "runtime", lambda: runtime)
        monkeypatch.setattr(module, "inference_network", lambda trained, grid: None)
        return module.KerasEngine(Trained(), **options), runtime.replicas

    return start


def batches(sizes: list[int]) -> Iterator[PixelArray]:
    first = 0
    for size in sizes:
        values = np.arange(first, first + size, dtype=np.uint8)
        yield np.broadcast_to(values[:, None, None, None], (size, SIZE, SIZE, 3))
        first += size


def test_devices_take_turns_and_results_keep_their_order(start: Start) -> None:
    engine, replicas = start(batch_size=4)
    assert engine.name == "Keras on Made-up, 2 × H1"
    sizes = [4, 4, 3, 4, 4, 4, 1]
    found = list(engine.encode(batches(sizes)))
    assert [len(each) for each in found] == sizes
    assert np.concatenate([each.pooled for each in found]).ravel().tolist() == list(range(24))
    # One batch before the first photo, and all of one shape.
    assert [replica.batches for replica in replicas] == [[4] * 5, [4] * 4]
    assert all(len(replica.threads) == 1 for replica in replicas)
    assert replicas[0].threads != replicas[1].threads


def test_two_batches_of_each_device_are_in_flight(start: Start) -> None:
    engine, _ = start(batch_size=2)
    taken: list[int] = []

    def watched() -> Iterator[PixelArray]:
        for number, batch in enumerate(batches([2] * 8)):
            taken.append(number)
            yield batch

    next(engine.encode(watched()))
    assert taken == [0, 1, 2, 3]


def test_the_batch_is_halved_until_it_fits(start: Start) -> None:
    engine, replicas = start(fits=100)
    assert engine.batch_size == 64
    assert replicas[0].batches == [512, 256, 128, 64]


def test_a_batch_size_that_was_asked_for_is_not_changed(start: Start) -> None:
    with pytest.raises(CaptionerError, match="batch of 200 photos does not fit") as caught:
        start(fits=100, batch_size=200)
    assert "--batch-size 100" in caught.value.remedy


def test_a_gpu_that_fails_is_one_sentence(start: Start) -> None:
    engine, replicas = start(batch_size=4)
    replicas[1].fails = True
    results = engine.encode(batches([4] * 4))
    assert len(next(results)) == 4
    with pytest.raises(CaptionerError) as caught:
        next(results)
    assert str(caught.value).startswith(
        "Keras on Made-up, 2 × H1: the device fell off the bus. Use --device cpu"
    )


@pytest.mark.parametrize(
    ("free", "size", "batch"),
    [
        (None, 224, 256),
        (130 << 30, 224, 512),
        (8 << 30, 224, 128),
        (8 << 30, 112, 512),
        (8 << 30, 448, 32),
        (100 << 20, 224, 8),
    ],
)
def test_batch_size_by_free_memory(free: int | None, size: int, batch: int) -> None:
    assert module.batch_for(interface.Device("gpu:0", "H1", free), size) == batch
    assert module.batch_for(interface.Device("cpu:0", "CPU", free), size) == 16
