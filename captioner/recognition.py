"""Photos that are new to an index by their paths, and known to it by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from captioner.content import fingerprint
from captioner.index import Change, Index
from captioner.types import Photo, RecognisedPhoto

T = TypeVar("T")
Keep = Callable[[Iterable[tuple[Photo, bytes]]], list[RecognisedPhoto]]

TOGETHER = 64
"""Photos whose content is looked up in one go, and kept in one transaction."""
_READERS = 4
"""Threads that read files for their content alone."""


def unknown(
    index: Index,
    todo: Mapping[Photo, Change],
    keep: Keep,
    copies: dict[Photo, bytes],
    *,
    done: Callable[[RecognisedPhoto], None],
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Photo]:
    """The photos whose content the index does not know.

    Only where two files are of one size can their contents be the same: next to nothing is read
    for nothing.

    Parameters
    ----------
    todo
        What is to be opened, and why: what is described again for another reason than its file is
        passed on.
    keep
        `Index.store_recognised`, or `Index.recognise` where nothing is to be written.
    copies
        Collects photos that have the content of one that was yielded, with its hash.
    done
        Told of each photo that was kept.
    stop
        Asked between two photos whether to end.
    """
    often = Counter(photo.size for photo in todo)
    met: set[bytes] = set()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="fingerprint") as pool:
        for some in groups(todo, TOGETHER):
            if stop():
                return
            new = [photo for photo in some if todo[photo] in (Change.NEW, Change.CHANGED)]
            sizes = index.known_sizes(photo.size for photo in new)
            alike = [photo for photo in new if photo.size in sizes or often[photo.size] > 1]
            read = zip(alike, pool.map(_fingerprint, alike), strict=True)
            digests = {photo: digest for photo, digest in read if digest}
            known = {kept.photo: kept for kept in keep(digests.items())} if digests else {}
            for photo in some:
                digest = digests.get(photo)
                if stop():
                    return
                if photo in known:
                    done(known[photo])
                elif digest in met:
                    copies[photo] = digest
                else:
                    if digest:
                        met.add(digest)
                    yield photo


def groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one of what is left."""
    items = iter(items)
    while some := list(islice(items, size)):
        yield some


def _fingerprint(photo: Photo) -> bytes | None:
    try:
        return fingerprint(photo.path)
    except OSError:
        return None  # decoding it will tell why
