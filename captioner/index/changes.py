"""What is new or has changed since it was last stored, by size and modification time alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Container, Iterable, Iterator
from contextlib import closing
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from captioner.index import database, facts
from captioner.index.database import Ids, path_key
from captioner.types import BundleIds, Listing, Photo

# SQLite says in a few texts what it holds between two paths, and Python what the walk found there:
# the same, of most of a library, in a fraction of the time that it takes to look up each photo.
_AS_KNOWN = """
    SELECT CAST(group_concat(substr(path, ?), '/') AS BLOB), group_concat(size),
        group_concat(mtime_ns), group_concat(id)
    FROM (
        SELECT id, path, size, mtime_ns FROM photos
        WHERE path BETWEEN ? AND ? AND missing_since IS NULL %s ORDER BY path LIMIT ?
    )
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


_SIDECARS = """
    SELECT substr(path, ?), files FROM photos CROSS JOIN sidecars ON photo = id
    WHERE path BETWEEN ? AND ?
"""


class Change(Enum):
    """Why a photo, or what is said beside it, is to be opened."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    OUTDATED = "described by another model"
    SIDECAR = "sidecar changed"


class Survey:
    """One walk held against the index at `path`.

    Parameters
    ----------
    retry_failed
        Whether photos that failed are to be tried again as they are.
    weights
        Have photos described again that these weights neither described nor have the features of.
    """

    def __init__(self, path: Path, *, retry_failed: bool, weights: BundleIds | None) -> None:
        self._path = path
        self._retry_failed = retry_failed
        self._model = (weights.model_id, weights.encoder_id) if weights else ()
        of_model = _OF_MODEL if weights else ""
        self._as_known = _AS_KNOWN % (of_model + (_NOT_FAILED if retry_failed else ""))
        self._known = _KNOWN % of_model
        self._seen = np.zeros(0, bool)  # by id
        self._with_sidecars: npt.NDArray[np.bool_] | None = None  # by id
        self.unchanged = 0
        """Photos that the index holds as they are."""
        self.back: list[int] = []
        """Ids of those among them that were missing."""

    def changes(self, found: Iterable[Listing]) -> Iterator[tuple[Photo, Change]]:
        """The photos that the index does not hold as they are now, in the order given."""
        # A connection of its own lets a loader thread ask while the writer is in a transaction.
        with closing(database.reader(self._path)) as connection:
            for listing in found:
                with database.explained(self._path):
                    changed = self._differing(connection, listing)
                yield from changed

    def unseen(self, ids: Ids) -> Ids:
        """Those of some ids (N,) whose photos were not among those given."""
        lacking = int(ids.max(initial=-1)) + 1 - len(self._seen)
        if lacking > 0:
            self._seen = np.concatenate([self._seen, np.zeros(lacking, bool)])
        return ids[~self._seen[ids]]

    def _differing(
        self, connection: sqlite3.Connection, listing: Listing
    ) -> list[tuple[Photo, Change]]:
        folder = os.path.join(path_key(listing.prefix), b"")  # noqa: PTH118 (bytes)
        ends = [folder + os.fsencode(listing.names[at]) for at in (0, -1)]
        *known, ids = connection.execute(
            self._as_known, [len(folder) + 1, *ends, *self._model, len(listing) + 1]
        ).fetchone()
        numbers = None
        if known == [
            os.fsencode("/".join(listing.names)),
            ",".join(map(str, listing.sizes)),
            ",".join(map(str, listing.mtimes_ns)),
        ]:
            numbers = np.fromstring(ids, np.int64, sep=",")
            if not listing.sidecars and not self._had_sidecars(connection, numbers):
                self.unchanged += self._see(numbers)
                return []
        found = {os.fsencode(n): facts.signature(some) for n, some in listing.sidecars.items()}
        stored = dict(connection.execute(_SIDECARS, [len(folder) + 1, *ends]))
        if numbers is not None and stored == found:
            self.unchanged += self._see(numbers)
            return []
        differ = {name for name, _ in stored.items() ^ found.items()}
        return [
            (photo, change)
            for photo, name in zip(listing, listing.names, strict=True)
            if (change := self._look(connection, photo, folder, os.fsencode(name), differ))
        ]

    def _had_sidecars(self, connection: sqlite3.Connection, numbers: Ids) -> bool:
        """Whether one of some photos (N,) had sidecars when the index last read these."""
        if self._with_sidecars is None:
            known = database.ids(connection, "SELECT photo FROM sidecars")
            self._with_sidecars = np.zeros(int(known.max(initial=-1)) + 1, bool)
            self._with_sidecars[known] = True
        numbers = numbers[numbers < len(self._with_sidecars)]
        return bool(self._with_sidecars[numbers].any())

    def _look(
        self,
        connection: sqlite3.Connection,
        photo: Photo,
        folder: bytes,
        name: bytes,
        other_sidecars: Container[bytes],
    ) -> Change | None:
        known = connection.execute(self._known, [*self._model, folder + name]).fetchone()
        if known is None:
            return Change.NEW
        number, size, mtime_ns, failed, missing, outdated = known
        first = self._see(np.array([number]))
        if (size, mtime_ns) != (photo.size, photo.mtime_ns):
            return Change.CHANGED
        if failed and self._retry_failed:
            return Change.FAILED
        if outdated:
            return Change.OUTDATED
        if missing and first:
            self.back.append(number)
        if name in other_sidecars:
            return Change.SIDECAR
        self.unchanged += first
        return None

    def _see(self, ids: Ids) -> int:
        """Remember photos; how many of them were not seen before."""
        first = self.unseen(ids)
        self._seen[first] = True
        return len(first)
