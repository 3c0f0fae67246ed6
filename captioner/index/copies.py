"""Copies: photos with the same content as others, which a search shows once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import numpy.typing as npt

from captioner.index.database import Ids, path_key, select_ids


def copies_of(connection: sqlite3.Connection, path: Path | None, content_hash: bytes | None) -> Ids:
    """A photo and all that have the same content."""
    return select_ids(
        connection,
        "SELECT id FROM photos WHERE path = ?1 UNION SELECT id FROM photos WHERE content_hash IN "
        "(SELECT content_hash FROM photos WHERE path = ?1 UNION SELECT ?2)",
        [path_key(path) if path else None, content_hash],
    )


class Copies:
    """Which photos have the same content as others, kept until the database changes."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._photos: Ids = np.empty(0, np.int64)
        """(N,), ascending: those that have copies."""
        self._groups: npt.NDArray[np.intp] = np.empty(0, np.intp)
        """(N,): equal for equal content."""

    def first(self, connection: sqlite3.Connection, photos: Ids) -> npt.NDArray[np.bool_]:
        """Which photos (N,) come before all others with their content: (N,)."""
        self._read(connection)
        kept = np.ones(len(photos), np.bool_)
        if len(self._photos):
            [places] = np.nonzero(np.isin(photos, self._photos))
            found = self._groups[np.searchsorted(self._photos, photos[places])]
            _, first = np.unique(found, return_index=True)
            kept[np.delete(places, first)] = False
        return kept

    def _read(self, connection: sqlite3.Connection) -> None:
        # It changes with every change that another connection has made.
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        same = [
            np.fromstring(ids, np.int64, sep=",")
            for (ids,) in connection.execute(
                "SELECT group_concat(id) FROM photos WHERE content_hash IS NOT NULL "
                "GROUP BY content_hash HAVING count(*) > 1"
            )
        ]
        photos = np.concatenate([np.empty(0, np.int64), *same])
        order = np.argsort(photos)
        groups = np.repeat(np.arange(len(same)), [len(one) for one in same])
        self._photos, self._groups = photos[order], groups[order]
        self._version = version
