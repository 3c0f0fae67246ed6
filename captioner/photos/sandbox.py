"""Sandboxed decoding: worker processes with limits on CPU time and memory, which can be killed.

Workers are started on demand, wait for further photos, and exit with their parent because their
standard input closes. They are fresh Python processes, not forks: forking a process in which an
inference engine runs threads may deadlock. The content of a file is sent through a pipe, so that
the bytes decoded are the bytes hashed, and a worker needs no access to any file.
"""

from __future__ import annotations

import atexit
import io
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

import numpy as np

from captioner import system
from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos.decode import DecodedImage, decode
from captioner.types import Facts

CPU_SECONDS = 60.0
"""CPU time allowed for one photo. The largest photos accepted take a tenth of it."""
WALL_SECONDS = 300.0
"""Wall-clock time allowed for one photo. Beyond it the failure is transient: the machine may be
busy."""
MEMORY_BYTES = 4 << 30
"""Address space of one worker, where the operating system can limit it."""
LARGE_PIXELS = 32 << 20
"""An image with more pixels may need up to a gigabyte to decode, so only one is decoded at once."""

_CPU_LIMIT_EXIT_CODE = 75
"""Exit code of a worker that ends itself because a photo exceeds `CPU_SECONDS`."""

_SCRIPT = "from captioner.photos.sandbox import serve; serve({}, {})"
_large_image_lock = threading.Lock()
# One slot per CPU core; it holds an idle worker, or None if none has been started.
_workers: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
for _ in range(os.cpu_count() or 1):
    _workers.put(None)


def decode_in_sandbox(content: Iterable[bytes], kind: str, size: int) -> DecodedImage:
    """Decode as `decode` does, in a worker process limited in time and memory.

    Parameters
    ----------
    content
        The file's content in chunks. Exceptions that iterating raises are passed on.
    kind
        The format, as `formats.detect_format` returns it.
    size
        Side of the model input, pixels.

    Raises
    ------
    PhotoError
        As from `decode`, and if a limit is exceeded or the decoder crashes.
    """
    worker = _workers.get()
    try:
        if not (worker and worker.alive):
            worker = _Worker()
        return worker.decode(content, kind, size)
    except PhotoError:
        raise
    except BaseException:  # interrupted within a request: the next answer would be out of step
        if worker:
            worker.kill()
        raise
    finally:
        _workers.put(worker if worker and worker.alive else None)


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT.format(MEMORY_BYTES, CPU_SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except OSError as error:
            raise _cannot_start() from error
        assert self._process.stdin
        assert self._process.stdout
        self._requests: IO[bytes] = self._process.stdin
        self._responses: IO[bytes] = self._process.stdout
        if not self._responses.readline():
            self.kill()
            raise _cannot_start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._responses):
            with suppress(OSError):  # data that was buffered but not sent
                pipe.close()

    def decode(self, content: Iterable[bytes], kind: str, size: int) -> DecodedImage:
        with suppress(BrokenPipeError):  # the worker has crashed: there will be no response
            self._send_json({"kind": kind, "size": size})
            for chunk in content:
                self._send(len(chunk).to_bytes(4) + chunk)
            self._send(bytes(4))
            self._flush()
        response = self._response(kind)
        if "large" in response:
            with _large_image_lock:
                self._send_json({})
                self._flush()
                response = self._response(kind)
        if "reason" in response:
            error = PhotoUnavailableError if response.pop("unavailable") else PhotoError
            raise error(**response)
        facts = response["facts"]
        facts |= {name: tuple(facts[name]) for name in ("keywords", "others")}
        rgb = np.frombuffer(self._responses.read(size * size * 3), np.uint8)
        return DecodedImage(
            rgb.reshape(size, size, 3), response["width"], response["height"], Facts(**facts)
        )

    def _send_json(self, message: dict[str, object]) -> None:
        self._send(json.dumps(message).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        try:
            self._requests.write(data)
        except OSError as error:  # Windows reports EINVAL.
            raise BrokenPipeError from error

    def _flush(self) -> None:
        try:
            self._requests.flush()
        except OSError as error:
            raise BrokenPipeError from error

    def _response(self, kind: str) -> Any:
        timed_out = threading.Event()

        def time_out() -> None:
            timed_out.set()
            self._process.kill()

        timer = threading.Timer(WALL_SECONDS, time_out)
        timer.daemon = True
        timer.start()
        line = self._responses.readline()
        timer.cancel()
        if line and not timed_out.is_set():
            return json.loads(line)
        self.kill()
        if timed_out.is_set():
            raise PhotoUnavailableError(
                f"decoding its {kind} data did not finish within {WALL_SECONDS:.0f} seconds."
            )
        cpu_limit = (_CPU_LIMIT_EXIT_CODE, -getattr(signal, "SIGPROF", -_CPU_LIMIT_EXIT_CODE))
        if self._process.returncode in cpu_limit:
            raise PhotoError(
                f"decoding its {kind} data takes longer than {CPU_SECONDS:.0f} seconds.",
                "Save it again with another program.",
            )
        raise PhotoError(
            f"its {kind} data crashes the decoder.",
            "Copy it again, or restore it from a backup.",
        )


def _cannot_start() -> PhotoError:
    return PhotoUnavailableError("the process that decodes such files cannot be started.")


@atexit.register
def _kill_workers() -> None:
    while not _workers.empty():
        with suppress(queue.Empty):
            if worker := _workers.get_nowait():
                worker.kill()


def serve(memory: int, cpu_seconds: float) -> None:
    """Run a worker: decode what the parent process sends until it closes standard input.

    Parameters
    ----------
    memory
        Limit on this process's address space, bytes.
    cpu_seconds
        Limit on the CPU time of one photo; the process exits if one exceeds it.
    """
    # Terminals and systemd send these to all processes; the parent handles them and ends us.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _limit_memory(memory)
    cpu_limit = _CpuLimit(cpu_seconds)
    requests = sys.stdin.buffer
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print must not be a response

    def respond(message: dict[str, object], rgb: bytes = b"") -> None:
        responses.write(json.dumps(message).encode() + b"\n" + rgb)
        responses.flush()

    def check_size(decoded_pixels: int, stored_pixels: int) -> None:
        if decoded_pixels > LARGE_PIXELS:
            respond({"large": True})
            requests.readline()

    respond({})
    while request := requests.readline():
        content = io.BytesIO()
        while length := int.from_bytes(requests.read(4)):
            content.write(requests.read(length))
        content.seek(0)
        cpu_limit.restart()
        try:
            image = decode(content, **json.loads(request), check_size=check_size)
        except PhotoError as error:
            respond(_error_message(error, memory))
        else:
            facts = asdict(image.facts)
            message = {"width": image.width, "height": image.height, "facts": facts}
            respond(message, image.rgb.tobytes())


def _error_message(error: PhotoError, memory: int) -> dict[str, object]:
    if isinstance(error.__cause__, MemoryError):  # our own limit: it will not suffice next time
        reason = f"decoding it takes more than {memory / (1 << 30):.1f} GB of memory."
        return {"reason": reason, "remedy": "Make a smaller copy.", "unavailable": False}
    unavailable = isinstance(error, PhotoUnavailableError)
    return {"reason": error.reason, "remedy": error.remedy, "unavailable": unavailable}


class _CpuLimit:
    """Ends this process when a photo takes too much CPU time: a timer, or a thread on Windows."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = math.inf
        self._has_timer = hasattr(signal, "setitimer")
        if not self._has_timer:
            threading.Thread(target=self._watch, daemon=True).start()

    def restart(self) -> None:
        """Start counting again, for the next photo."""
        if self._has_timer:
            signal.setitimer(signal.ITIMER_PROF, self._seconds)
        else:
            self._deadline = time.process_time() + self._seconds

    def _watch(self) -> None:
        while time.process_time() < self._deadline:
            time.sleep(0.1)
        os._exit(_CPU_LIMIT_EXIT_CODE)


def _limit_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:
        if system.WINDOWS:
            from captioner.system import windows

            windows.limit_memory(memory)
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
