"""Features that are kept, so that another model can describe a photo without its pixels."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from captioner.index.missing import is_below
from captioner.types import BundleIds, DecodedPhoto, FloatArray, Photo

_UNSEEN = np.empty((0, 0, 3), np.uint8)
_KEPT = (
    "FROM photos JOIN features ON photo = id "
    "WHERE status = 'described' AND encoder = ? AND model_id != ?"
)


def below(
    connection: sqlite3.Connection, weights: BundleIds, folders: Collection[bytes]
) -> list[int]:
    """Ids of the photos of these weights' encoder that another model described.

    Those below some folders, or all of them.
    """
    rows = connection.execute(f"SELECT id, path {_KEPT}", [weights.encoder_id, weights.model_id])
    return [number for number, path in rows if not folders or is_below(path, folders)]


def of(connection: sqlite3.Connection, ids: Sequence[int]) -> tuple[list[DecodedPhoto], FloatArray]:
    """Photos, their pixels left out, and their features (N, 2048)."""
    rows = [
        connection.execute(
            "SELECT path, size, mtime_ns, width, height, format, content_hash, feature "
            "FROM photos JOIN features ON photo = id WHERE id = ?",
            [number],
        ).fetchone()
        for number in ids
    ]
    photos = [
        DecodedPhoto(Photo(Path(os.fsdecode(path)), size, mtime_ns), _UNSEEN, *what)
        for path, size, mtime_ns, *what, _ in rows
    ]
    features = np.stack([np.frombuffer(row[-1], "<f2") for row in rows])
    return photos, features.astype(np.float32)
