"""The default executor: threads decode ahead of the engine, and one thread describes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from captioner.execution.decoding import decode
from captioner.types import DecodedPhoto, Describer, Description, Failure, Photo, PixelArray

Progress = Callable[[Description | Failure], None]


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
        progress = progress or _ignore
        workers = workers or _cores() + 2
        in_flight: deque[list[DecodedPhoto | Failure]] = deque()

        def batches(decoded: Iterable[DecodedPhoto | Failure]) -> Iterator[PixelArray]:
            """Yield the pixels of each batch; `in_flight` holds the photos they belong to."""
            for batch in _batches(decoded, describer.batch_size, progress):
                in_flight.append(batch)
                pixels = [item.rgb for item in batch if isinstance(item, DecodedPhoto)]
                if pixels:  # otherwise nothing but failures at the end
                    yield np.stack(pixels)

        pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        try:
            ahead = describer.batch_size + workers
            decoded = _decode_ahead(photos, describer.size, pool, ahead)
            for features in describer.encode(batches(decoded)):
                batch = in_flight.popleft()
                readable = [item for item in batch if isinstance(item, DecodedPhoto)]
                descriptions = iter(describer.describe(readable, features))
                for item in batch:
                    if isinstance(item, Failure):
                        yield item
                    else:
                        description = next(descriptions)
                        progress(description)
                        yield description
            for batch in in_flight:
                yield from (item for item in batch if isinstance(item, Failure))
        finally:
            pool.shutdown(cancel_futures=True)


EXECUTOR = ThreadExecutor()


def _decode_ahead(
    photos: Iterable[Photo | Failure], size: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[DecodedPhoto | Failure]:
    """Decode in threads, in order, at most `ahead` photos before the one that is taken."""
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


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _ignore(result: Description | Failure) -> None:
    pass
