"""Stored encoder features, by which another model can describe photos without their pixels."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from captioner.index.absence import is_below
from captioner.types import BundleIds, DecodedPhoto, Features, Photo

_NO_PIXELS = np.empty((0, 0, 3), np.uint8)
_RECAPTIONABLE = (
    "FROM photos JOIN features ON photo = id "
    "WHERE status = 'described' AND encoder = ? AND model_id IS NOT ?"
)


def ids_to_recaption(
    connection: sqlite3.Connection, bundle: BundleIds, folders: Collection[bytes]
) -> list[int]:
    """Ids of photos with features of a bundle's encoder that another model described.

    Those below some folders; all of them if none are given.
    """
    rows = connection.execute(
        f"SELECT id, path {_RECAPTIONABLE}", [bundle.encoder_id, bundle.model_id]
    )
    return [number for number, path in rows if not folders or is_below(path, folders)]


def load(connection: sqlite3.Connection, ids: Sequence[int]) -> tuple[list[DecodedPhoto], Features]:
    """Photos without their pixels, and their pooled features."""
    rows = [
        connection.execute(
            "SELECT path, size, mtime_ns, width, height, format, content_hash, feature "
            "FROM photos JOIN features ON photo = id WHERE id = ?",
            [number],
        ).fetchone()
        for number in ids
    ]
    photos = [
        DecodedPhoto(Photo(Path(os.fsdecode(path)), size, mtime_ns), _NO_PIXELS, *rest)
        for path, size, mtime_ns, *rest, _ in rows
    ]
    pooled = np.stack([np.frombuffer(row[-1], "<f2") for row in rows])
    return photos, Features(pooled.astype(np.float32))
