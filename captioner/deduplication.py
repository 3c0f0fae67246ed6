"""Deduplication: photos with a new path or date whose content is in the index already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from captioner.hashing import hash_file
from captioner.index import Change, Index
from captioner.types import Photo, RecognisedPhoto

T = TypeVar("T")
Recognise = Callable[[Iterable[tuple[Photo, bytes]]], list[RecognisedPhoto]]
"""Maps photos with content hashes to those that the index recognises."""

BATCH_SIZE = 64
"""Photos whose content is looked up together, and stored in one transaction."""
_READERS = 4
"""Threads that read and hash files."""


def unrecognised(
    index: Index,
    todo: Mapping[Photo, Change],
    recognise: Recognise,
    copies: dict[Photo, bytes],
    *,
    done: Callable[[RecognisedPhoto], None],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Photo]:
    """The photos whose content is not in the index, so that they have to be described.

    A file is hashed only if another file has the same size, in the index or among `todo`: files of
    different sizes cannot have the same content.

    Parameters
    ----------
    todo
        The photos to open, and why. Only new and changed ones are hashed; the others are yielded.
    recognise
        `Index.store_recognised`, or `Index.recognise` if nothing is to be written.
    copies
        Collects photos with the same content as one that was yielded, and their content hashes.
    done
        Called with each recognised photo.
    stop
        Called before each photo; the iteration ends when it returns True.
    """
    count_by_size = Counter(photo.size for photo in todo)
    yielded: set[bytes] = set()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="hash") as pool:
        for batch in batched(todo, BATCH_SIZE):
            if stop():
                return
            new = [photo for photo in batch if todo[photo] in (Change.NEW, Change.CHANGED)]
            sizes = index.known_sizes(photo.size for photo in new)
            same_size = [
                photo for photo in new if photo.size in sizes or count_by_size[photo.size] > 1
            ]
            hashed = zip(same_size, pool.map(_hash, same_size), strict=True)
            hashes = {photo: content_hash for photo, content_hash in hashed if content_hash}
            recognised = {one.photo: one for one in recognise(hashes.items())} if hashes else {}
            for photo in batch:
                content_hash = hashes.get(photo)
                if stop():
                    return
                if photo in recognised:
                    done(recognised[photo])
                elif content_hash in yielded:
                    copies[photo] = content_hash
                else:
                    if content_hash:
                        yielded.add(content_hash)
                    yield photo


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order; the last one may be shorter."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _hash(photo: Photo) -> bytes | None:
    try:
        return hash_file(photo.path)
    except OSError:
        return None  # decoding it reports the reason
