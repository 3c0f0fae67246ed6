"""Photos by their row numbers in the index, as the web page addresses them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from captioner.index.database import Ids, select_ids
from captioner.index.hits import Hit, load_hits


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo in the index: its file, and whether it could be described."""

    id: int
    path: Path
    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, nanoseconds since 1970."""
    content_hash: bytes | None
    width: int | None
    """Pixels, upright."""
    height: int | None
    format: str | None
    reason: str | None
    """Why it could not be described; None if it was."""
    missing_since: str | None
    """UTC, ISO 8601; None while the file is there."""


def photo_row(connection: sqlite3.Connection, number: int) -> PhotoRow | None:
    """The photo in a row; None if there is no such row."""
    if not 0 < number < 2**63:
        return None
    row = connection.execute(
        "SELECT id, path, size, mtime_ns, content_hash, width, height, format, reason, "
        "missing_since FROM photos WHERE id = ?",
        [number],
    ).fetchone()
    return PhotoRow(row[0], Path(os.fsdecode(row[1])), *row[2:]) if row else None


def months(connection: sqlite3.Connection, numbers: Ids) -> npt.NDArray[np.int32]:
    """When photos (N,) were taken, by their rows: (N,), year * 100 + month; 0 if not known."""
    dated = "FROM facts WHERE taken_at IS NOT NULL ORDER BY photo"
    photos = select_ids(connection, f"SELECT photo {dated}")
    if not len(photos):
        return np.zeros(len(numbers), np.int32)
    taken = select_ids(
        connection,
        "SELECT CAST(substr(taken_at, 1, 4) AS INTEGER) * 100 + "
        f"CAST(substr(taken_at, 6, 2) AS INTEGER) {dated}",
    ).astype(np.int32)
    places = np.minimum(np.searchsorted(photos, numbers), len(photos) - 1)
    return np.where(photos[places] == numbers, taken[places], 0).astype(np.int32)


def hits(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Hit]:
    """Photos in the order of some row numbers, as hits without a score; absent rows are omitted."""
    found = {
        row
        for (row,) in connection.execute(
            "SELECT id FROM photos WHERE id IN (SELECT value FROM json_each(?))",
            [str(list(numbers))],
        )
    }
    present = [number for number in numbers if number in found]
    return load_hits(connection, present, [(None, None)] * len(present))
