"""Sandboxed decoding: limits, and what happens when they are exceeded."""

from __future__ import annotations

import io
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos import read as reading
from captioner.photos import sandbox
from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import DecodedPhoto, Photo


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[queue.LifoQueue[sandbox._Worker | None]]:
    """One slot for a worker, which is empty."""
    workers: queue.LifoQueue[sandbox._Worker | None] = queue.LifoQueue()
    workers.put(None)
    monkeypatch.setattr(sandbox, "_workers", workers)
    yield workers
    assert workers.qsize() == 1
    if process := workers.get():
        process.kill()


def open_photo(path: Path) -> DecodedPhoto:
    (photo,) = walk([path])
    assert isinstance(photo, Photo)
    return read(photo, 32)


def tiff(path: Path, colour: str = "red") -> Path:
    Image.new("RGB", (60, 40), colour).save(path, "TIFF")
    return path


def the_worker(workers: queue.LifoQueue[sandbox._Worker | None]) -> sandbox._Worker:
    process = workers.get()
    workers.put(process)
    assert process
    return process


def endless_jpeg() -> bytes:
    """A progressive JPEG whose last scan is repeated a thousand times."""
    file = io.BytesIO()
    Image.new("RGB", (3000, 2000), "red").save(file, "JPEG", progressive=True)
    content = file.getvalue()
    scan = content.rindex(b"\xff\xda")
    return content[:scan] + content[scan:-2] * 1000 + content[-2:]


def test_a_photo_that_exceeds_the_cpu_limit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(endless_jpeg())
    monkeypatch.setattr(sandbox, "CPU_SECONDS", 0.3)
    with pytest.raises(PhotoError, match="takes longer than") as caught:
        open_photo(tmp_path / "a.jpg")
    assert not isinstance(caught.value, PhotoUnavailableError)  # not to be tried again as it is
    monkeypatch.undo()
    assert open_photo(tiff(tmp_path / "b.tif")).format == "TIFF"


def test_the_wall_clock_limit_is_a_transient_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(endless_jpeg())
    monkeypatch.setattr(sandbox, "WALL_SECONDS", 0.3)
    with pytest.raises(PhotoUnavailableError, match="did not finish within"):
        open_photo(tmp_path / "a.jpg")


def test_ordinary_jpegs_are_decoded_in_this_process(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    for number, options in enumerate(({"progressive": True}, {"quality": 95}, {"optimize": True})):
        Image.new("RGB", (600, 400), "red").save(tmp_path / f"{number}.jpg", **options)
        assert open_photo(tmp_path / f"{number}.jpg").width == 600
    assert workers.queue == [None]


def test_a_jpeg_with_too_much_exif_is_decoded_in_the_sandbox(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    block = b"Exif\0\0II*\0" + bytes(60_000)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.jpg", exif=block)
    content = (tmp_path / "a.jpg").read_bytes()
    at = content.index(b"\xff\xe1")
    (length,) = struct.unpack_from(">H", content, at + 2)
    segment = content[at : at + 2 + length]
    (tmp_path / "a.jpg").write_bytes(content[:at] + segment * 3 + content[at:])
    assert open_photo(tmp_path / "a.jpg").width == 60
    assert the_worker(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_photo_that_exceeds_the_memory_limit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (12_000, 10_000)).save(tmp_path / "a.tif", compression="group4")
    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 600 << 20)
    with pytest.raises(PhotoError, match=r"more than 0\.6 GB of memory") as caught:
        open_photo(tmp_path / "a.tif")
    assert not isinstance(caught.value, PhotoUnavailableError)
    assert open_photo(tiff(tmp_path / "b.tif")).format == "TIFF"


def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    Image.new("1", (8000, 5000), 1).save(tmp_path / "a.tif", compression="group4")
    workers.put(None)  # two at once
    with sandbox._large_image_lock:
        seen: list[DecodedPhoto] = []
        thread = threading.Thread(target=lambda: seen.append(open_photo(tmp_path / "a.tif")))
        thread.start()
        assert open_photo(tiff(tmp_path / "b.tif")).format == "TIFF"
        thread.join(0.2)
        assert not seen
    thread.join(30)
    assert (seen[0].width, seen[0].height) == (8000, 5000)
    (workers.get() or the_worker(workers)).kill()


def test_one_worker_decodes_many_photos(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    processes = set()
    for number in range(5):
        (tmp_path / "broken.tif").write_bytes(tiff(tmp_path / "a.tif").read_bytes()[:100])
        with pytest.raises(PhotoError, match="header is damaged"):
            open_photo(tmp_path / "broken.tif")
        colour = ("red", "green", "blue")[number % 3]
        pixels = open_photo(tiff(tmp_path / "a.tif", colour))
        assert np.array_equal(pixels.rgb, np.asarray(Image.new("RGB", (32, 32), colour)))
        processes.add(the_worker(workers))
    assert len(processes) == 1


def test_a_worker_that_died_is_replaced(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    open_photo(tiff(tmp_path / "a.tif"))
    the_worker(workers)._process.kill()
    the_worker(workers)._process.wait()
    assert open_photo(tmp_path / "a.tif").format == "TIFF"


def test_a_crash_costs_one_photo(
    tmp_path: Path, workers: queue.LifoQueue[sandbox._Worker | None]
) -> None:
    open_photo(tiff(tmp_path / "a.tif"))

    def content() -> Iterator[bytes]:
        yield b"II*\0"
        os.kill(pid, signal.SIGKILL)

    pid = the_worker(workers)._process.pid
    with pytest.raises(PhotoError, match="crashes the decoder"):
        sandbox.decode_in_sandbox(content(), "TIFF", 32)
    assert open_photo(tmp_path / "a.tif").format == "TIFF"


def test_an_input_error_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chunks(*_: object) -> Iterator[bytes]:
        yield b"II*\0"
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reading, "_chunks", chunks)
    with pytest.raises(PhotoUnavailableError, match="input/output error"):
        open_photo(tiff(tmp_path / "a.tif"))
    monkeypatch.undo()


def test_a_worker_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiff(tmp_path / "a.tif")
    for python in ("/nowhere/python", "/bin/true"):
        monkeypatch.setattr(sys, "executable", python)
        with pytest.raises(PhotoUnavailableError, match="cannot be started"):
            open_photo(tmp_path / "a.tif")


SCRIPT = """
import sys
from pathlib import Path
from captioner.photos import sandbox
from captioner.photos.read import read
from captioner.photos.walk import walk

[photo] = walk([Path(sys.argv[1])])
read(photo, 32)
print(*(process._process.pid for process in sandbox._workers.queue if process), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, None])
def test_workers_exit_with_their_parent(tmp_path: Path, end: signal.Signals | None) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tiff(tmp_path / "a.tif")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        with Path(f"/proc/{pid}/stat").open() as stat:
            if end:
                parent.send_signal(end)
            parent.communicate()
            for _ in range(200):
                try:
                    stat.seek(0)
                    if stat.read().rpartition(")")[2].split()[0] == "Z":
                        break
                except ProcessLookupError:
                    break
                threading.Event().wait(0.05)
            else:
                pytest.fail("still there")
