"""A scan of folders compared with the index: what is new or changed, by size and date alone."""

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

# SQLite gives all that it has between two paths as a few texts, and Python what the walk found
# there: for most of a library they are the same, in a fraction of the time of a query per photo.
_LISTING = """
    SELECT CAST(group_concat(substr(path, ?), '/') AS BLOB), group_concat(size),
        group_concat(mtime_ns), group_concat(id)
    FROM (
        SELECT id, path, size, mtime_ns FROM photos
        WHERE path BETWEEN ? AND ? AND missing_since IS NULL %s ORDER BY path LIMIT ?
    )
"""
_NOT_FAILED = "AND status != 'failed'"
_OF_BUNDLE = """
    AND NOT EXISTS (
        SELECT 1 FROM features WHERE photo = id AND model_id IS NOT ? AND encoder IS NOT ?
    )
"""
_PHOTO = """
    SELECT id, size, mtime_ns, status = 'failed', missing_since IS NOT NULL, NOT (TRUE %s)
    FROM photos WHERE path = ?
"""
_SIDECARS = """
    SELECT substr(path, ?), files FROM photos CROSS JOIN sidecars ON photo = id
    WHERE path BETWEEN ? AND ?
"""


class Change(Enum):
    """Why a photo, or its sidecars, must be read."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    OUTDATED = "described by another model"
    SIDECAR = "sidecar changed"


class Scan:
    """One scan of folders, compared with the index at `path`.

    Parameters
    ----------
    retry_failed
        Report photos that failed, even if they have not changed.
    bundle
        Report photos that this bundle neither described nor has the features of.
    """

    def __init__(self, path: Path, *, retry_failed: bool, bundle: BundleIds | None) -> None:
        self._path = path
        self._retry_failed = retry_failed
        self._bundle = (bundle.model_id, bundle.encoder_id) if bundle else ()
        of_bundle = _OF_BUNDLE if bundle else ""
        self._select_listing = _LISTING % (of_bundle + (_NOT_FAILED if retry_failed else ""))
        self._select_photo = _PHOTO % of_bundle
        self._seen = np.zeros(0, bool)  # by id
        self._with_sidecars: npt.NDArray[np.bool_] | None = None  # by id
        self.unchanged = 0
        """How many photos are the same as in the index."""
        self.reappeared: list[int] = []
        """Ids of those among them that were missing."""

    def changes(self, found: Iterable[Listing]) -> Iterator[tuple[Photo, Change]]:
        """The photos that are not in the index in their present state, in the order given."""
        # A connection of its own: a loader thread may ask while the writer is in a transaction.
        with closing(database.open_reader(self._path)) as connection:
            for listing in found:
                with database.explaining_errors(self._path):
                    changed = self._changed(connection, listing)
                yield from changed

    def unseen(self, ids: Ids) -> Ids:
        """Those of some ids (N,) whose photos the scan has not found."""
        lacking = int(ids.max(initial=-1)) + 1 - len(self._seen)
        if lacking > 0:
            self._seen = np.concatenate([self._seen, np.zeros(lacking, bool)])
        return ids[~self._seen[ids]]

    def _changed(
        self, connection: sqlite3.Connection, listing: Listing
    ) -> list[tuple[Photo, Change]]:
        folder = os.path.join(path_key(listing.prefix), b"")  # noqa: PTH118 (bytes)
        ends = [folder + os.fsencode(listing.names[at]) for at in (0, -1)]
        *stored, concatenated_ids = connection.execute(
            self._select_listing, [len(folder) + 1, *ends, *self._bundle, len(listing) + 1]
        ).fetchone()
        ids = None
        if stored == [
            os.fsencode("/".join(listing.names)),
            ",".join(map(str, listing.sizes)),
            ",".join(map(str, listing.mtimes_ns)),
        ]:
            ids = np.fromstring(concatenated_ids, np.int64, sep=",")
            if not listing.sidecars and not self._had_sidecars(connection, ids):
                self.unchanged += self._mark_seen(ids)
                return []
        found = {os.fsencode(n): facts.signature(some) for n, some in listing.sidecars.items()}
        known = dict(connection.execute(_SIDECARS, [len(folder) + 1, *ends]))
        if ids is not None and known == found:
            self.unchanged += self._mark_seen(ids)
            return []
        differ = {name for name, _ in known.items() ^ found.items()}
        return [
            (photo, change)
            for photo, name in zip(listing, listing.names, strict=True)
            if (change := self._compare(connection, photo, folder, os.fsencode(name), differ))
        ]

    def _had_sidecars(self, connection: sqlite3.Connection, ids: Ids) -> bool:
        """Whether one of some photos (N,) had sidecars when the index last read them."""
        if self._with_sidecars is None:
            known = database.select_ids(connection, "SELECT photo FROM sidecars")
            self._with_sidecars = np.zeros(int(known.max(initial=-1)) + 1, bool)
            self._with_sidecars[known] = True
        ids = ids[ids < len(self._with_sidecars)]
        return bool(self._with_sidecars[ids].any())

    def _compare(
        self,
        connection: sqlite3.Connection,
        photo: Photo,
        folder: bytes,
        name: bytes,
        sidecars_differ: Container[bytes],
    ) -> Change | None:
        row = connection.execute(self._select_photo, [*self._bundle, folder + name]).fetchone()
        if row is None:
            return Change.NEW
        number, size, mtime_ns, failed, missing, outdated = row
        first = self._mark_seen(np.array([number]))
        if (size, mtime_ns) != (photo.size, photo.mtime_ns):
            return Change.CHANGED
        if failed and self._retry_failed:
            return Change.FAILED
        if outdated:
            return Change.OUTDATED
        if missing and first:
            self.reappeared.append(number)
        if name in sidecars_differ:
            return Change.SIDECAR
        self.unchanged += first
        return None

    def _mark_seen(self, ids: Ids) -> int:
        """Note photos as found; how many of them were not found before."""
        first = self.unseen(ids)
        self._seen[first] = True
        return len(first)
