"""Photos through the model: `walk → decode → encode → describe`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos.read import read
from captioner.types import DecodedPhoto, Describer, Description, Failure, Photo, PixelArray

Progress = Callable[[Description | Failure], None]


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
    in_flight: deque[list[DecodedPhoto | Failure]] = deque()

    def feed(decoded: Iterable[DecodedPhoto | Failure]) -> Iterator[PixelArray]:
        """Hand batches to the engine, and note in `in_flight` which photos they are."""
        for slots in _batches(decoded, describer.batch_size, tell):
            in_flight.append(slots)
            squares = [slot.rgb for slot in slots if isinstance(slot, DecodedPhoto)]
            if squares:  # else nothing but failures at the end
                yield np.stack(squares)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        ahead = describer.batch_size + workers
        decoded = _decode_ahead(photos, describer.size, pool, ahead)
        for features in describer.encode(feed(decoded)):
            slots = in_flight.popleft()
            pixels = [slot for slot in slots if isinstance(slot, DecodedPhoto)]
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


def _decode_ahead(
    photos: Iterable[Photo | Failure], size: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[DecodedPhoto | Failure]:
    """Decode in threads, in order, at most `ahead` photos before the one that is asked for."""
    waiting: deque[Future[DecodedPhoto | Failure]] = deque()
    for photo in photos:
        waiting.append(pool.submit(decode, photo, size))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def decode(photo: Photo | Failure, size: int) -> DecodedPhoto | Failure:
    """Decode one photo to a square of `size` pixels a side; a failure says why it cannot be."""
    if isinstance(photo, Failure):
        return photo
    try:
        return read(photo, size)
    except PhotoUnavailableError as error:
        return Failure(photo.path, str(error), photo, transient=True)
    except PhotoError as error:
        return Failure(photo.path, str(error), photo)
    except Exception as error:
        # One photo must not end a run of thousands, even where the fault is ours.
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(photo.path, f"unexpected {what}. Please report this.", photo)


def _batches(
    decoded: Iterable[DecodedPhoto | Failure], size: int, tell: Progress
) -> Iterator[list[DecodedPhoto | Failure]]:
    """Lists with `size` pixels each, and the failures before them; the last one takes the rest."""
    slots: list[DecodedPhoto | Failure] = []
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
