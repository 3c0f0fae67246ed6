"""What is new or has changed since it was last stored, by size and modification time alone."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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


_Compared = tuple[str, str]
"""Ids of the photos that are as they were; which of those given are not."""


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
        self._comparison = _COMPARE % (of_model + (_NOT_FAILED if retry_failed else ""))
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
        # A connection of its own lets a loader thread ask while the writer is in a transaction; a
        # thread of its own lets SQLite compare some photos while the walk finds the next ones.
        with (
            closing(database.reader(self._path)) as connection,
            ThreadPoolExecutor(1, thread_name_prefix="compare") as thread,
        ):
            waiting: deque[tuple[list[Photo], Future[_Compared]]] = deque()
            while some := list(islice(photos, _TOGETHER)):
                given = self._given(some)
                waiting.append((some, thread.submit(self._compare, connection, given)))
                if len(waiting) > 1:
                    yield from self._differing(connection, *waiting.popleft())
            while waiting:
                yield from self._differing(connection, *waiting.popleft())

    def unseen(self, numbers: Sequence[int]) -> list[int]:
        """Those of some ids whose photos were not among those given."""
        seen, known = self._seen, len(self._seen)
        return [number for number in numbers if number >= known or not seen[number]]

    def _given(self, some: Sequence[Photo]) -> list[bytes | int | str | None]:
        given: list[bytes | int | str | None] = []
        for photo in some:
            given += (self._key(photo.spelled), photo.size, photo.mtime_ns)
        given += [None] * (3 * (_TOGETHER - len(some)))  # for one statement, prepared once
        given += self._model
        return given

    def _compare(
        self, connection: sqlite3.Connection, given: list[bytes | int | str | None]
    ) -> _Compared:
        with database.explained(self._path):
            same, rest = connection.execute(self._comparison, given).fetchone()
        return same or "", rest or ""

    def _differing(
        self, connection: sqlite3.Connection, some: Sequence[Photo], compared: Future[_Compared]
    ) -> list[tuple[Photo, Change]]:
        same, rest = compared.result()
        self.unchanged += self._see([int(number) for number in same.split()])
        with database.explained(self._path):
            return [
                (some[at], change)
                for at in map(int, rest.split())
                if at < len(some) and (change := self._look(connection, some[at]))
            ]

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
        first = set(self.unseen(numbers))
        for number in first:
            seen[number] = 1
        return len(first)
