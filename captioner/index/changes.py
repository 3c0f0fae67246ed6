"""What is new or has changed since it was last stored, by size and modification time alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from enum import Enum
from itertools import islice
from pathlib import Path

from captioner.index import database
from captioner.types import Photo, Weights

_TOGETHER = 500
"""Photos that are looked up with one statement: far cheaper than one each."""

_KNOWN = f"""
    SELECT path, id, size, mtime_ns, status = 'failed', missing_since IS NOT NULL, %s
    FROM photos LEFT JOIN features ON photo = id AND %s
    WHERE path IN ({", ".join("?" * _TOGETHER)})
"""
_ANY_MODEL = _KNOWN % ("FALSE", "FALSE")
_ONE_MODEL = _KNOWN % ("model_id IS NOT ? AND encoder IS NOT ?", "TRUE")


class Change(Enum):
    """Why a photo is to be opened."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    OUTDATED = "described by another model"


class Survey:
    """One walk held against the index at `path`.

    Parameters
    ----------
    retry_failed
        Whether photos that failed are to be tried again as they are.
    weights
        Have photos described again that these weights neither described nor have the features of.
    """

    def __init__(self, path: Path, *, retry_failed: bool, weights: Weights | None) -> None:
        self._path = path
        self._retry_failed = retry_failed
        self._weights = weights
        self._seen = bytearray()
        self.unchanged = 0
        """Photos that the index holds as they are."""
        self.back: list[int] = []
        """Ids of those among them that were missing."""

    def changes(self, photos: Iterable[Photo]) -> Iterator[tuple[Photo, Change]]:
        """The photos that the index does not hold as they are now, in the order given."""
        photos = iter(photos)
        # A connection of its own lets a loader thread ask while the writer is in a transaction.
        with closing(database.reader(self._path)) as connection:
            while some := list(islice(photos, _TOGETHER)):
                keys = [database.path_key(photo.path) for photo in some]
                with database.explained(self._path):
                    known = self._known(connection, keys)
                for photo, key in zip(some, keys, strict=True):
                    if change := self._compare(photo, known.get(key)):
                        yield photo, change

    def saw(self, number: int) -> bool:
        """Whether the photo with this id was among those given."""
        return number < len(self._seen) and self._seen[number] == 1

    def _known(
        self, connection: sqlite3.Connection, keys: list[bytes]
    ) -> Mapping[bytes, tuple[int, ...]]:
        padded = keys + keys[:1] * (_TOGETHER - len(keys))  # for one statement, prepared once
        if self._weights:
            weights = [self._weights.model, self._weights.encoder]
            rows = connection.execute(_ONE_MODEL, [*weights, *padded])
        else:
            rows = connection.execute(_ANY_MODEL, padded)
        return {path: row for path, *row in rows}

    def _compare(self, photo: Photo, known: tuple[int, ...] | None) -> Change | None:
        if known is None:
            return Change.NEW
        number, size, mtime_ns, failed, missing, outdated = known
        before = self.saw(number)
        self._see(number)
        if (size, mtime_ns) != (photo.size, photo.mtime_ns):
            return Change.CHANGED
        if failed and self._retry_failed:
            return Change.FAILED
        if outdated and not failed:
            return Change.OUTDATED
        if not before:
            self.unchanged += 1
            if missing:
                self.back.append(number)
        return None

    def _see(self, number: int) -> None:
        if number >= len(self._seen):
            self._seen.extend(bytes(number + 1024 - len(self._seen)))
        self._seen[number] = 1
