"""What is new or has changed since it was last stored, by size and modification time alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from enum import Enum
from itertools import islice
from pathlib import Path

from captioner.index import database
from captioner.index.database import path_key
from captioner.types import Photo, Weights

_TOGETHER = 500
"""Photos that are looked up with one statement: far cheaper than one each."""

# Compared by SQLite itself, which names what is as it was in one line of text: a row a photo, made
# and looked at in Python, would take as long as finding the file.
_COMPARE = f"""
    WITH given (number, path, size, mtime_ns) AS
        (VALUES {", ".join(f"({number}, ?, ?, ?)" for number in range(_TOGETHER))}),
    compared AS (
        SELECT number, id, missing_since IS NULL AND photos.size = given.size
            AND photos.mtime_ns = given.mtime_ns %s AS same
        FROM given LEFT JOIN photos ON photos.path = given.path
    )
    SELECT group_concat(iif(same, id, NULL), " "), group_concat(iif(same, NULL, number), " ")
    FROM compared
"""
_NOT_FAILED = "AND status != 'failed'"
_OF_MODEL = """
    AND NOT EXISTS (
        SELECT 1 FROM features WHERE photo = id AND model_id != ? AND encoder IS NOT ?
    )
"""
_KNOWN = """
    SELECT id, size, mtime_ns, status = 'failed', missing_since IS NOT NULL, NOT (TRUE %s)
    FROM photos WHERE path = ?
"""


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
        self._model = (weights.model, weights.encoder) if weights else ()
        of_model = _OF_MODEL if weights else ""
        self._compare = _COMPARE % (of_model + (_NOT_FAILED if retry_failed else ""))
        self._known = _KNOWN % of_model
        self._seen = bytearray()
        self._folder: str | None = None
        self._folder_key = b""
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
                with database.explained(self._path):
                    changed = [
                        (some[at], change)
                        for at in self._differing(connection, some)
                        if (change := self._look(connection, some[at]))
                    ]
                yield from changed

    def saw(self, number: int) -> bool:
        """Whether the photo with this id was among those given."""
        return number < len(self._seen) and self._seen[number] == 1

    def _differing(self, connection: sqlite3.Connection, some: Sequence[Photo]) -> list[int]:
        """Which of the photos are not simply as they were; the others are seen."""
        given: list[bytes | int | str | None] = []
        for photo in some:
            given += (self._key(photo.spelled), photo.size, photo.mtime_ns)
        given += [None] * (3 * (_TOGETHER - len(some)))  # for one statement, prepared once
        same, rest = connection.execute(self._compare, [*given, *self._model]).fetchone()
        self.unchanged += self._see([int(number) for number in (same or "").split()])
        return [at for at in map(int, (rest or "").split()) if at < len(some)]

    def _key(self, path: str) -> bytes:
        """As `path_key` does it, but once a folder."""
        folder, separator, name = path.rpartition(os.sep)
        if folder + separator != self._folder:
            self._folder = folder + separator
            self._folder_key = os.path.join(path_key(self._folder), b"")  # noqa: PTH118 (bytes)
        return self._folder_key + os.fsencode(name)

    def _look(self, connection: sqlite3.Connection, photo: Photo) -> Change | None:
        known = connection.execute(self._known, [*self._model, self._key(photo.spelled)]).fetchone()
        if known is None:
            return Change.NEW
        number, size, mtime_ns, failed, missing, outdated = known
        first = self._see([number])
        if (size, mtime_ns) != (photo.size, photo.mtime_ns):
            return Change.CHANGED
        if failed and self._retry_failed:
            return Change.FAILED
        if outdated:
            return Change.OUTDATED
        self.unchanged += first
        if missing and first:
            self.back.append(number)
        return None

    def _see(self, numbers: Sequence[int]) -> int:
        """Remember photos; how many of them were not seen before."""
        seen = self._seen
        lacking = max(numbers, default=0) + 1 - len(seen)
        if lacking > 0:
            seen.extend(bytes(lacking))
        first = {number for number in numbers if not seen[number]}
        for number in first:
            seen[number] = 1
        return len(first)
