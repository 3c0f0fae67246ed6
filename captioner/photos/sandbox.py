"""Decoding in processes that can be killed: bounded in time and memory, whatever the file does.

The processes are started when there is something for them, wait for more, and end with their
parent, since their input does. They are Python processes of their own, not forks: a fork of a
process with an engine's threads in it may hang. File contents go in by a pipe, so that what is
decoded is what was hashed, and the process needs no access to any file.
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
from captioner.photos.decode import Picture, decode
from captioner.types import Facts

SECONDS = 60.0
"""Of computing that one photo may take. The largest that are let in take a tenth of it."""
PATIENCE = 300.0
"""Seconds by the clock. Beyond, the photo is left for another time: the machine may be busy."""
MEMORY = 4 << 30
"""Bytes of address space for one process, where the system can bound it."""
_GIANT = 32 << 20
"""Pixels. Unpacked, a giant takes up to a gigabyte on its way; one at a time has to do."""

_TOO_LONG = 75
"""Exit code of a process that ends itself because a photo takes too long."""

_SCRIPT = "from captioner.photos.sandbox import serve; serve({}, {})"
_giants = threading.Lock()
# One place for each core; in it a process that waits, or None where there is none yet.
_places: queue.LifoQueue[_Process | None] = queue.LifoQueue()
for _ in range(os.cpu_count() or 1):
    _places.put(None)


def decode_in_sandbox(content: Iterable[bytes], kind: str, size: int) -> Picture:
    """As `decode`, in another process, within `SECONDS` and `MEMORY`.

    Parameters
    ----------
    content
        Of the file, in pieces. What it raises is raised on.

    Raises
    ------
    PhotoError
        As `decode`, and where a bound is reached or the decoder breaks.
    """
    process = _places.get()
    try:
        if not (process and process.alive):
            process = _Process()
        return process.decode(content, kind, size)
    except PhotoError:
        raise
    except BaseException:  # in the middle of something: nobody knows what it would say next
        if process:
            process.kill()
        raise
    finally:
        _places.put(process if process and process.alive else None)


class _Process:
    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SCRIPT.format(MEMORY, SECONDS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except OSError as error:
            raise _cannot_start() from error
        assert self._process.stdin
        assert self._process.stdout
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        if not self._from.readline():
            self.kill()
            raise _cannot_start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with suppress(OSError):  # what it was not sent any more
                pipe.close()

    def decode(self, content: Iterable[bytes], kind: str, size: int) -> Picture:
        with suppress(BrokenPipeError):  # it has broken down: there will be no answer
            self._say({"kind": kind, "size": size})
            for piece in content:
                self._send(len(piece).to_bytes(4) + piece)
            self._send(bytes(4))
            self._flush()
        answer = self._answer(kind)
        if "giant" in answer:
            with _giants:
                self._say({})
                self._flush()
                answer = self._answer(kind)
        if "reason" in answer:
            error = PhotoUnavailableError if answer.pop("unavailable") else PhotoError
            raise error(**answer)
        facts = answer["facts"]
        facts |= {name: tuple(facts[name]) for name in ("keywords", "others")}
        rgb = np.frombuffer(self._from.read(size * size * 3), np.uint8).reshape(size, size, 3)
        return Picture(rgb, answer["width"], answer["height"], Facts(**facts))

    def _say(self, words: dict[str, object]) -> None:
        self._send(json.dumps(words).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        try:
            self._to.write(data)
        except OSError as error:  # Windows reports EINVAL.
            raise BrokenPipeError from error

    def _flush(self) -> None:
        try:
            self._to.flush()
        except OSError as error:
            raise BrokenPipeError from error

    def _answer(self, kind: str) -> Any:
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(PATIENCE, end)
        timer.daemon = True
        timer.start()
        line = self._from.readline()
        timer.cancel()
        if line and not late.is_set():
            return json.loads(line)
        self.kill()
        if late.is_set():
            raise PhotoUnavailableError(
                f"unpacking its {kind} data has not ended after {PATIENCE:.0f} seconds."
            )
        if self._process.returncode in (_TOO_LONG, -getattr(signal, "SIGPROF", -_TOO_LONG)):
            raise PhotoError(
                f"unpacking its {kind} data takes longer than {SECONDS:.0f} seconds.",
                "Save it anew with another program.",
            )
        raise PhotoError(
            f"its {kind} data makes the decoder break down.",
            "Copy it again, or restore it from a backup.",
        )


def _cannot_start() -> PhotoError:
    return PhotoUnavailableError("the process that unpacks such files does not start.")


@atexit.register
def _end_all() -> None:
    while not _places.empty():
        with suppress(queue.Empty):
            if process := _places.get_nowait():
                process.kill()


def serve(memory: int, seconds: float) -> None:
    """Decode for the parent process until it closes our input.

    Parameters
    ----------
    memory
        Bytes we may have.
    seconds
        Of computing that one photo may take; beyond, the process ends.
    """
    # They are for the parent, which ends us; terminals and systemd send them to all processes.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _bound_memory(memory)
    bound = _Bound(seconds)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries that print must not answer

    def answer(words: dict[str, object], rgb: bytes = b"") -> None:
        answers.write(json.dumps(words).encode() + b"\n" + rgb)
        answers.flush()

    def weigh(unpacked: int, stored: int) -> None:
        if unpacked > _GIANT:
            answer({"giant": True})
            requests.readline()

    answer({})
    while request := requests.readline():
        content = io.BytesIO()
        while length := int.from_bytes(requests.read(4)):
            content.write(requests.read(length))
        content.seek(0)
        bound.begin()
        try:
            picture = decode(content, **json.loads(request), weigh=weigh)
        except PhotoError as error:
            answer(_words(error, memory))
        else:
            facts = asdict(picture.facts)
            words = {"width": picture.width, "height": picture.height, "facts": facts}
            answer(words, picture.rgb.tobytes())


def _words(error: PhotoError, memory: int) -> dict[str, object]:
    if isinstance(error.__cause__, MemoryError):  # ours: it will be too little next time as well
        reason = f"to unpack it takes more than {memory / (1 << 30):.1f} GB of memory."
        return {"reason": reason, "remedy": "Make a smaller copy.", "unavailable": False}
    unavailable = isinstance(error, PhotoUnavailableError)
    return {"reason": error.reason, "remedy": error.remedy, "unavailable": unavailable}


class _Bound:
    """Ends this process when it has computed for too long: a timer, or on Windows a thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = math.inf
        self._has_timer = hasattr(signal, "setitimer")
        if not self._has_timer:
            threading.Thread(target=self._watch, daemon=True).start()

    def begin(self) -> None:
        """Count from now on."""
        if self._has_timer:
            signal.setitimer(signal.ITIMER_PROF, self._seconds)
        else:
            self._end = time.process_time() + self._seconds

    def _watch(self) -> None:
        while time.process_time() < self._end:
            time.sleep(0.1)
        os._exit(_TOO_LONG)


def _bound_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:
        if system.WINDOWS:
            from captioner.system import windows

            windows.bound_memory(memory)
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
