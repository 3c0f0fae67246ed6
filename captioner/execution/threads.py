"""The default executor: threads decode ahead of the engine, and one thread describes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from captioner.execution.decoding import decode
from captioner.system.cores import cores
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Failure,
    Features,
    Photo,
    PixelArray,
)

Progress = Callable[[Description | Failure], None]
EncodedBatch = tuple[list[DecodedPhoto], Features]
"""Photos of a batch without their pixels, and their features."""
DecodeAll = Callable[
    [Iterable[Photo | Failure], ThreadPoolExecutor, int], Iterator[DecodedPhoto | Failure]
]
"""Decodes photos in order, given threads and how many to decode before the one that is taken."""

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class ThreadExecutor:
    """Threads decode ahead of the engine; the thread that takes the results describes.

    Everything overlaps. Threads read and decode ahead, since Pillow works without the interpreter
    lock. The engine encodes by itself: `Describer.encode` keeps a few batches in flight. The thread
    that consumes the generator does the rest: it walks, hands over batches and describes, and
    whatever it does with a result, such as storing it, happens between two of these steps.
    Meanwhile the batches in flight are being encoded and the next ones decoded, so a separate
    thread for describing would only compete for the same cores and delay results. No pixels are
    held beyond the batches in flight and one more, however slowly results are taken.
    """

    ordered = True

    def describe(
        self,
        photos: Iterable[Photo | Failure],
        describer: Describer,
        *,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> Generator[Description | Failure, None, None]:
        """Describe photos in their order; see `captioner.execution.Executor`.

        `progress` hears of a description just before it is yielded, of a failure perhaps some
        batches earlier. `workers` is the number of threads that decode: by default two more than
        there are cores, since some wait for the disk. Closing the generator, or an interrupt, ends
        the threads.
        """

        def describe_all(encoded: Iterable[EncodedBatch]) -> Iterator[list[Description]]:
            return (describer.describe(*batch) for batch in encoded)

        yield from run(photos, describer, describe_all, progress=progress, workers=workers)


EXECUTOR = ThreadExecutor()


def run(
    photos: Iterable[Photo | Failure],
    describer: Describer,
    describe_all: Callable[[Iterable[EncodedBatch]], Iterator[list[Description]]],
    *,
    decode_all: DecodeAll | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Generator[Description | Failure, None, None]:
    """The pipeline of executors on one machine; see `ThreadExecutor.describe`.

    Parameters
    ----------
    describe_all
        Gives the descriptions of each batch, in order. It may take some batches ahead.
    decode_all
        Decodes; None: in the threads alone.
    """
    progress = progress or _ignore
    workers = workers or cores() + 2
    in_flight: deque[list[DecodedPhoto | Failure]] = deque()
    in_description: deque[list[DecodedPhoto | Failure]] = deque()

    def batches(decoded: Iterable[DecodedPhoto | Failure]) -> Iterator[PixelArray]:
        """Yield the pixels of each batch; `in_flight` holds the photos they belong to."""
        for batch in _batches(decoded, describer.batch_size, progress):
            in_flight.append(batch)
            pixels = [item.rgb for item in batch if isinstance(item, DecodedPhoto)]
            if pixels:  # otherwise nothing but failures at the end
                yield np.stack(pixels)

    def encoded(decoded: Iterable[DecodedPhoto | Failure]) -> Iterator[EncodedBatch]:
        """Yield the photos of each batch, without their pixels, and their features."""
        for features in describer.encode(batches(decoded)):
            batch = [_without_pixels(item) for item in in_flight.popleft()]
            in_description.append(batch)
            yield [item for item in batch if isinstance(item, DecodedPhoto)], features

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        decode_all = decode_all or partial(decode_in_threads, size=describer.size)
        decoded = decode_all(photos, pool, describer.batch_size + workers)
        for descriptions in describe_all(encoded(decoded)):
            remaining = iter(descriptions)
            for item in in_description.popleft():
                if isinstance(item, Failure):
                    yield item
                else:
                    description = next(remaining)
                    progress(description)
                    yield description
        for batch in in_flight:
            yield from (item for item in batch if isinstance(item, Failure))
    finally:
        pool.shutdown(cancel_futures=True)


def decode_in_threads(
    photos: Iterable[Photo | Failure], pool: ThreadPoolExecutor, ahead: int, *, size: int
) -> Iterator[DecodedPhoto | Failure]:
    """Decode to `size` × `size` pixels in threads; see `DecodeAll`."""
    waiting: deque[Future[DecodedPhoto | Failure]] = deque()
    for photo in photos:
        waiting.append(pool.submit(decode, photo, size))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _batches(
    decoded: Iterable[DecodedPhoto | Failure], size: int, progress: Progress
) -> Iterator[list[DecodedPhoto | Failure]]:
    """Group results into batches of `size` decoded photos, with the failures between them.

    The last batch holds what is left. `progress` hears of each failure at once.
    """
    batch: list[DecodedPhoto | Failure] = []
    count = 0
    for item in decoded:
        batch.append(item)
        if isinstance(item, Failure):
            progress(item)
        else:
            count += 1
        if count == size:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _without_pixels(item: DecodedPhoto | Failure) -> DecodedPhoto | Failure:
    return item if isinstance(item, Failure) else replace(item, rgb=_NO_PIXELS)


def _ignore(result: Description | Failure) -> None:
    pass
