"""Photos through the model, and into the index: `walk → decode → encode → describe → store`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos.read import read
from captioner.types import Describer, Description, Failure, Photo, PixelArray, Pixels

if TYPE_CHECKING:  # captioning without an index needs no database
    from captioner.index import Index

Progress = Callable[[Description | Failure], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an update of the index came to, in photos."""

    described: int
    failed: int
    unchanged: int
    """In the index as they are, hence not opened."""


def describe(
    photos: Iterable[Photo | Failure],
    describer: Describer,
    *,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Generator[Description | Failure, None, None]:
    """Describe photos as they come, in their order; a failure stands in its photo's place.

    Everything overlaps. Threads read and decode ahead (Pillow works without the interpreter's
    lock). The engine encodes by itself: `Describer.encode` keeps a few batches in flight. The
    thread that consumes this generator does the rest: it walks, hands over batches and describes,
    and whatever it does with a result, such as storing it, it does between two of ours. All that
    time the batches in flight are being encoded and the next ones decoded, so a thread of its own
    for describing would only wait for the same cores, and hold results back. No pixels are kept
    beyond the batches in flight and one more, however slowly results are taken.

    Parameters
    ----------
    photos
        As `walk` finds them; its failures are passed on.
    progress
        Called in the consumer's thread as soon as a photo is done with: with its description just
        before that is yielded, with a failure perhaps some batches earlier.
    workers
        Threads that decode; two more than there are cores if not given, for those that wait for
        the disk.

    Yields
    ------
    One result a photo. Closing the generator, or an interrupt, ends its threads.

    Raises
    ------
    CaptionerError
        What the describer raises, as it concerns more than one photo.
    """
    tell = progress or _ignore
    workers = workers or _cores() + 2
    in_flight: deque[list[Pixels | Failure]] = deque()

    def feed(decoded: Iterable[Pixels | Failure]) -> Iterator[PixelArray]:
        """Hand batches to the engine, and note in `in_flight` which photos they are."""
        for slots in _batches(decoded, describer.batch_size, tell):
            in_flight.append(slots)
            squares = [slot.rgb for slot in slots if isinstance(slot, Pixels)]
            if squares:  # else nothing but failures at the end
                yield np.stack(squares)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        ahead = describer.batch_size + workers
        decoded = _decode_ahead(photos, describer.size, pool, ahead)
        for features in describer.encode(feed(decoded)):
            slots = in_flight.popleft()
            pixels = [slot for slot in slots if isinstance(slot, Pixels)]
            descriptions = iter(describer.describe(pixels, features))
            for slot in slots:
                if isinstance(slot, Failure):
                    yield slot
                else:
                    description = next(descriptions)
                    tell(description)
                    yield description
        for slots in in_flight:
            yield from (slot for slot in slots if isinstance(slot, Failure))
    finally:
        pool.shutdown(cancel_futures=True)


def update(
    index: Index,
    photos: Iterable[Photo | Failure],
    load: Callable[[], Describer],
    *,
    planned: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Summary:
    """Describe the photos that an index does not hold as they are now, and store the results.

    Parameters
    ----------
    index
        Open for writing.
    load
        Makes the describer; called only where there is a photo to describe.
    planned
        Called once, before anything is described, with how often `progress` will be called.
    progress, workers
        As for `describe`.

    Stores a batch at a time. On an interrupt, or any other exception, what is finished is stored
    before it is raised on.
    """
    tell = progress or _ignore
    unseen: list[Failure] = []
    found = 0

    def seen() -> Iterator[Photo]:
        nonlocal found
        for photo in photos:
            if isinstance(photo, Failure):
                unseen.append(photo)
            else:
                found += 1
                yield photo

    pending = list(index.pending(seen()))
    todo = list(dict.fromkeys(pending))  # folders may be named twice
    if planned:
        planned(len(unseen) + len(todo))
    for failure in unseen:
        tell(failure)
    described = _describe_and_store(index, todo, load(), tell, workers) if todo else 0
    return Summary(described, len(unseen) + len(todo) - described, found - len(pending))


def _describe_and_store(
    index: Index, todo: list[Photo], describer: Describer, tell: Progress, workers: int | None
) -> int:
    described = 0
    finished: list[Description | Failure] = []

    def store() -> None:
        index.store(finished, describer.model_id)
        finished.clear()

    try:
        with closing(describe(todo, describer, progress=tell, workers=workers)) as results:
            for result in results:
                finished.append(result)
                described += isinstance(result, Description)
                if len(finished) >= describer.batch_size:
                    store()
    finally:
        if finished:
            store()
    return described


def _decode_ahead(
    photos: Iterable[Photo | Failure], size: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Pixels | Failure]:
    """Decode in threads, in order, at most `ahead` photos before the one that is asked for."""
    waiting: deque[Future[Pixels | Failure]] = deque()
    for photo in photos:
        waiting.append(pool.submit(_decode, photo, size))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _decode(photo: Photo | Failure, size: int) -> Pixels | Failure:
    if isinstance(photo, Failure):
        return photo
    try:
        return read(photo, size)
    except PhotoUnavailableError as error:
        return Failure(photo.path, str(error))  # without the photo: to be tried again next time
    except PhotoError as error:
        return Failure(photo.path, str(error), photo)
    except Exception as error:
        # One photo must not end a run of thousands, even where the fault is ours.
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(photo.path, f"unexpected {what}. Please report this.", photo)


def _batches(
    decoded: Iterable[Pixels | Failure], size: int, tell: Progress
) -> Iterator[list[Pixels | Failure]]:
    """Lists with `size` pixels each, and the failures before them; the last one takes the rest."""
    slots: list[Pixels | Failure] = []
    full = 0
    for slot in decoded:
        slots.append(slot)
        if isinstance(slot, Failure):
            tell(slot)
        else:
            full += 1
        if full == size:
            yield slots
            slots, full = [], 0
    if slots:
        yield slots


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ignore(result: Description | Failure) -> None:
    pass
