"""Records of what captioner wrote into files, by which it can be undone wherever they are now."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from captioner.index import database
from captioner.index.database import now, path_key
from captioner.index.display import (
    JOIN_BEST_CAPTION,
    KeywordEdits,
    keyword_edits,
    model_keywords,
)
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
        """Store a record, committed by the time that this returns; earlier ones stay."""
        row = (
            path_key(write.photo), write.content_hash, path_key(write.path),
            write.sha256_before, write.sha256_after, write.undo_patch, now(),
        )  # fmt: skip
        with database.explaining_errors(self._path), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO writes "
                "(photo, content, path, before, after, way_back, written_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def find(self, path: Path, sha256_after: bytes) -> FileWrite | None:
        """The record of a write that led to this content, preferably of the file at this path.

        That of another path is as good: the file was moved, or is a copy.
        """
        with database.explaining_errors(self._path):
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
        """Delete the records of a file, except the one that led to the content `except_after`."""
        with database.explaining_errors(self._path):
            self._connection.execute(
                "DELETE FROM writes WHERE path = ? AND after IS NOT ?",
                [path_key(path), except_after],
            )

    def photo_paths(self) -> dict[Path, set[Path]]:
        """The photos with writes that were not undone: where each was, and where it may be now.

        It may still be there, or wherever the index has found the same content.
        """
        with database.explaining_errors(self._path):
            rows = self._connection.execute(
                "SELECT DISTINCT writes.photo, photos.path FROM writes LEFT JOIN photos "
                "ON content_hash = content AND missing_since IS NULL ORDER BY writes.photo"
            )
            found: dict[Path, set[Path]] = {}
            for photo, duplicate in rows:
                paths = found.setdefault(_path(photo), {_path(photo)})
                if duplicate is not None:
                    paths.add(_path(duplicate))
        return found

    def update_photo(self, before: Photo, after: Photo, content_hash: bytes) -> None:
        """Store a photo's size, date and hash after a write, if the index knew it before.

        Its picture is the same, so that it need not be described again.
        """
        new = (after.size, after.mtime_ns, content_hash)
        with database.explaining_errors(self._path):
            self._connection.execute(
                "UPDATE photos SET size = ?, mtime_ns = ?, content_hash = ? "
                "WHERE path = ? AND size = ? AND mtime_ns = ?",
                [*new, path_key(before.path), before.size, before.mtime_ns],
            )


def stored_caption(connection: sqlite3.Connection, path: Path) -> StoredCaption | None:
    """The caption and keywords of a photo; None if the index has neither."""
    row = connection.execute(
        "SELECT photos.id, size, mtime_ns, text, iif(text IS NULL, vectors.model_id, "
        "captions.model_id), coalesce(captions.score, text IS NOT NULL) FROM photos "
        f"{JOIN_BEST_CAPTION} "
        "LEFT JOIN vectors ON vectors.photo = photos.id "
        "WHERE path = ? AND (text IS NOT NULL OR status = 'described')",
        [path_key(path)],
    ).fetchone()
    if not row:
        return None
    photo, size, mtime_ns, text, model_id, score = row
    keywords = tuple(keyword.word for keyword in model_keywords(connection, [photo])[photo])
    edits = keyword_edits(connection, [photo]).get(photo, KeywordEdits())
    return StoredCaption(
        Photo(path, size, mtime_ns), text, model_id, float(score), keywords, edits.added
    )


def described_paths(connection: sqlite3.Connection) -> list[Path]:
    """The paths of all photos that were described and are not missing."""
    rows = connection.execute(
        "SELECT path FROM photos WHERE status = 'described' AND missing_since IS NULL ORDER BY path"
    )
    return [_path(path) for (path,) in rows]


def _path(key: bytes) -> Path:
    return Path(os.fsdecode(key))
