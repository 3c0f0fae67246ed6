"""What captioner wrote into files, so that it can be taken back wherever they are now."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from captioner.index import database
from captioner.index.database import path_key
from captioner.index.shown import IN_ORDER
from captioner.index.store import words_of
from captioner.types import FileWrite, Photo, StoredCaption


class Writes:
    """The records of an open index, and what it knows of the photos that are written.

    Only `add` waits for the disk. The rest is committed with the next record or on closing: what
    a crash loses of it is a record too many, or one photo to describe again.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def add(self, write: FileWrite) -> None:
        """Keep a record, committed by the time that this returns; earlier ones stay."""
        row = (
            path_key(write.photo), write.content_hash, path_key(write.path),
            write.sha256_before, write.sha256_after, write.undo_patch, _now(),
        )  # fmt: skip
        with database.explained(self._path), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO writes "
                "(photo, content, path, before, after, way_back, written_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def find(self, path: Path, sha256_after: bytes) -> FileWrite | None:
        """The record of a write that led to this content, best of the file with this path.

        That of another path is as good: the file was moved, or is a copy.
        """
        with database.explained(self._path):
            row = self._connection.execute(
                "SELECT photo, content, path, before, after, way_back FROM writes "
                "WHERE after = ? ORDER BY path = ? DESC, id LIMIT 1",
                [sha256_after, path_key(path)],
            ).fetchone()
        if not row:
            return None
        photo, content, written, *rest = row
        return FileWrite(_path(photo), content, _path(written), *rest)

    def delete(self, path: Path, except_after: bytes | None = None) -> None:
        """Drop the records of a file, but for the one whose content after is `except_after`."""
        with database.explained(self._path):
            self._connection.execute(
                "DELETE FROM writes WHERE path = ? AND after IS NOT ?",
                [path_key(path), except_after],
            )

    def places(self) -> dict[Path, set[Path]]:
        """The photos with words that were not taken back: where each was, and where it may be.

        It may be there still, or wherever the index has met the same content.
        """
        with database.explained(self._path):
            rows = self._connection.execute(
                "SELECT DISTINCT writes.photo, photos.path FROM writes LEFT JOIN photos "
                "ON content_hash = content AND missing_since IS NULL ORDER BY writes.photo"
            )
            found: dict[Path, set[Path]] = {}
            for photo, twin in rows:
                places = found.setdefault(_path(photo), {_path(photo)})
                if twin is not None:
                    places.add(_path(twin))
        return found

    def refresh(self, before: Photo, after: Photo, content_hash: bytes) -> None:
        """Know a photo as it is after a write, if it was known as it was before.

        Its picture is the same, so there is nothing to describe anew.
        """
        new = (after.size, after.mtime_ns, content_hash)
        with database.explained(self._path):
            self._connection.execute(
                "UPDATE photos SET size = ?, mtime_ns = ?, content_hash = ? "
                "WHERE path = ? AND size = ? AND mtime_ns = ?",
                [*new, path_key(before.path), before.size, before.mtime_ns],
            )


def known(connection: sqlite3.Connection, path: Path) -> StoredCaption | None:
    """What the index says about a photo; None where it says nothing."""
    row = connection.execute(
        "SELECT photos.id, size, mtime_ns, text, iif(text IS NULL, vectors.model_id, "
        "captions.model_id), coalesce(captions.score, text IS NOT NULL) FROM photos "
        "LEFT JOIN captions ON captions.photo = photos.id "
        "LEFT JOIN vectors ON vectors.photo = photos.id "
        "WHERE path = ? AND (text IS NOT NULL OR status = 'described') "
        f"ORDER BY {IN_ORDER} LIMIT 1",
        [path_key(path)],
    ).fetchone()
    if not row:
        return None
    number, size, mtime_ns, text, model_id, score = row
    keywords = tuple(words_of(connection, number))
    return StoredCaption(Photo(path, size, mtime_ns), text, model_id, float(score), keywords)


def described(connection: sqlite3.Connection) -> list[Path]:
    """All photos that were described and were not found missing."""
    rows = connection.execute(
        "SELECT path FROM photos WHERE status = 'described' AND missing_since IS NULL ORDER BY path"
    )
    return [_path(path) for (path,) in rows]


def _path(key: bytes) -> Path:
    return Path(os.fsdecode(key))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
