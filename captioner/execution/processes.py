"""The executor for many cores: several processes decode and describe.

One interpreter is not enough for many cores or a GPU, since only one of its threads runs Python at
a time. Beam search is Python and small matrix products: a few hundred photos per second. Decoding
holds the interpreter for a third of the time of a small JPEG, 0.7 ms: some 1,300 per second. Here
every further core decodes and describes as well. Paths go to the processes and pixels come back,
150 KB per photo; then features go, 8 KB, and descriptions come back.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from threading import Thread

from captioner.execution.decoding import decode
from captioner.execution.threads import EncodedBatch, Progress, run
from captioner.system.cores import cores
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Failure,
    Photo,
    PortableDescriber,
)

FIRST_PHOTOS = 256
"""Described in this process before others are started, which takes a second or two."""
MOST = 16
"""Processes, at most: each takes 200 MB, and the process that encodes and stores has to keep up."""
CHUNK = 64
"""Photos that a process describes at once: more would not be faster."""
DECODED_AT_ONCE = 8
"""Photos that a process decodes before it sends their pixels."""
_AHEAD = 2
"""Chunks per process that wait or are being described."""


class ProcessExecutor:
    """As `ThreadExecutor`, except that processes decode and describe all but the first photos.

    The same results in the same order. A describer that cannot be loaded in another process
    describes in this one, and all is done in this one once others have been killed.

    Parameters
    ----------
    processes
        How many; None: one less than there are cores, at most `MOST`.
    first
        Photos that are described before the processes are started.
    """

    ordered = True

    def __init__(self, processes: int | None = None, first: int = FIRST_PHOTOS) -> None:
        self._processes = processes
        self._first = first

    def describe(
        self,
        photos: Iterable[Photo | Failure],
        describer: Describer,
        *,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> Generator[Description | Failure, None, None]:
        """Describe photos in their order; see `ThreadExecutor.describe`."""
        processes = self._processes or min(MOST, max(1, cores() - 1))
        pool = _Pool(describer, processes, self._first)
        try:
            yield from run(
                photos,
                describer,
                pool.describe_all,
                decode_all=pool.decode_all,
                progress=progress,
                workers=workers,
            )
        finally:
            pool.close()


EXECUTOR = ProcessExecutor()


class _Pool:
    """Decodes and describes in this process, then in others once they have been worth starting."""

    def __init__(self, describer: Describer, processes: int, first: int) -> None:
        self._describer = describer
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._remaining = first if isinstance(describer, PortableDescriber) else sys.maxsize
        """Photos to describe in this process before others are started."""

    def decode_all(
        self, photos: Iterable[Photo | Failure], threads: ThreadPoolExecutor, ahead: int
    ) -> Iterator[DecodedPhoto | Failure]:
        """Decode in threads until there are processes; see `captioner.execution.threads`."""
        remaining = iter(photos)
        waiting: deque[tuple[list[Photo | Failure], Future[list[DecodedPhoto | Failure]]]] = deque()
        in_flight = 0
        while some := list(islice(remaining, DECODED_AT_ONCE if self._pool else 1)):
            waiting.append((some, self._decode(some, threads)))
            in_flight += len(some)
            ahead_now = ahead + (_AHEAD * DECODED_AT_ONCE * self._processes if self._pool else 0)
            while in_flight > ahead_now:
                in_flight -= len(waiting[0][0])
                yield from self._decoded(*waiting.popleft())
        for some, future in waiting:
            yield from self._decoded(some, future)

    def _decode(
        self, photos: list[Photo | Failure], threads: ThreadPoolExecutor
    ) -> Future[list[DecodedPhoto | Failure]]:
        size = self._describer.size
        if self._pool and self._remaining <= 0:
            try:
                return self._pool.submit(decode_photos, photos, size)
            except (BrokenProcessPool, OSError):
                self._remaining = sys.maxsize
        return threads.submit(decode_photos, photos, size)

    def _decoded(
        self, photos: list[Photo | Failure], future: Future[list[DecodedPhoto | Failure]]
    ) -> list[DecodedPhoto | Failure]:
        try:
            return future.result()
        except BrokenProcessPool:  # killed, perhaps for lack of memory
            self._remaining = sys.maxsize
            return decode_photos(photos, self._describer.size)

    def describe_all(self, batches: Iterable[EncodedBatch]) -> Iterator[list[Description]]:
        """The descriptions of each batch, in order."""
        waiting: deque[list[_Chunk]] = deque()
        ahead = 0
        for photos, features in batches:
            chunks = [
                _Chunk((photos[first : first + CHUNK], features[first : first + CHUNK]))
                for first in range(0, len(photos), CHUNK)
            ]
            if not self._submit(chunks):
                yield from map(self._collect, waiting)
                waiting.clear()
                ahead = 0
                self._remaining -= len(photos)
                yield self._describer.describe(photos, features)
                continue
            waiting.append(chunks)
            ahead += len(chunks)
            while ahead > _AHEAD * self._processes:
                done = waiting.popleft()
                ahead -= len(done)
                yield self._collect(done)
        yield from map(self._collect, waiting)

    def close(self) -> None:
        """End the processes."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def _submit(self, chunks: Iterable[_Chunk]) -> bool:
        """Pass chunks to the processes; False if there are none yet, or none any more."""
        if self._remaining > 0:
            return False
        try:
            if self._pool is None:
                assert isinstance(self._describer, PortableDescriber)
                self._pool = ProcessPoolExecutor(
                    self._processes,
                    # A fork would copy locks that threads of the engine hold.
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start,
                    initargs=(self._describer.loader(),),
                )
            for chunk in chunks:
                chunk.future = self._pool.submit(_describe, chunk.batch)
        except (BrokenProcessPool, OSError):
            self._remaining = sys.maxsize
            return False
        return True

    def _collect(self, chunks: Iterable[_Chunk]) -> list[Description]:
        found: list[Description] = []
        for chunk in chunks:
            try:
                assert chunk.future
                found += chunk.future.result()
            except BrokenProcessPool:  # killed, perhaps for lack of memory
                self._remaining = sys.maxsize
                found += self._describer.describe(*chunk.batch)
        return found


@dataclass
class _Chunk:
    """Part of a batch, and its descriptions to come."""

    batch: EncodedBatch
    future: Future[list[Description]] | None = None


_describer: Describer
"""Of a process that describes."""


def _start(load: Callable[[], Describer]) -> None:
    """Prepare a process that describes."""
    global _describer  # noqa: PLW0603
    # Signals from the terminal are for the process that started this one.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    # What cannot be loaded here is described where loading it worked.
    logging.getLogger("concurrent.futures").addHandler(logging.NullHandler())
    Thread(target=_end_with_parent, daemon=True).start()
    _describer = load()


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, however that happened."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def decode_photos(photos: Iterable[Photo | Failure], size: int) -> list[DecodedPhoto | Failure]:
    """Decode photos one after another; see `captioner.execution.decoding`."""
    return [decode(photo, size) for photo in photos]


def _describe(batch: EncodedBatch) -> list[Description]:
    return _describer.describe(*batch)
