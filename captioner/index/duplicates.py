"""Duplicates: files whose content hash the index knows, because they were moved or copied.

A scan recognises them one by one; `groups` lists those that are in the index.

Every function runs inside its caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from captioner.index import documents, store
from captioner.index.absence import Absence
from captioner.index.database import now, path_key
from captioner.types import Photo, RecognisedPhoto


class _Row(NamedTuple):
    id: int
    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class DuplicatePhoto:
    """One of several files with the same content."""

    id: int
    path: str
    """Absolute. If its name is not valid text, `os.fsencode` gives the bytes back."""
    mtime_ns: int
    """Modification time, nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Several files with the same content."""

    size: int
    """Bytes of each."""
    width: int | None
    """Pixels, upright."""
    height: int | None
    taken_at: str | None
    """Local time, ISO 8601."""
    photos: tuple[DuplicatePhoto, ...]
    """The oldest first, by modification time."""

    @property
    def extra_bytes(self) -> int:
        """What all files but one take up on the disk."""
        return self.size * (len(self.photos) - 1)


def groups(connection: sqlite3.Connection) -> list[DuplicateGroup]:
    """All groups of present photos with the same content, those that waste most first."""
    found: dict[bytes, list[tuple[int, str, int]]] = {}
    shared: dict[bytes, tuple[int, int | None, int | None, str | None]] = {}
    for content, number, path, mtime_ns, *rest in connection.execute(
        "SELECT content_hash, id, path, mtime_ns, size, width, height, taken_at FROM photos "
        "LEFT JOIN facts ON photo = id WHERE missing_since IS NULL AND content_hash IN ("
        "SELECT content_hash FROM photos WHERE content_hash IS NOT NULL "
        "GROUP BY content_hash HAVING count(*) > 1)"
    ):
        found.setdefault(content, []).append((mtime_ns, os.fsdecode(path), number))
        shared.setdefault(content, (rest[0], rest[1], rest[2], rest[3]))
    made = [
        DuplicateGroup(
            *shared[content],
            tuple(
                DuplicatePhoto(number, path, mtime_ns) for mtime_ns, path, number in sorted(photos)
            ),
        )
        for content, photos in found.items()
        if len(photos) > 1
    ]
    return sorted(made, key=lambda one: (-one.extra_bytes, one.photos[0].path))


def known_sizes(connection: sqlite3.Connection, some: Iterable[int]) -> set[int]:
    """Those of some file sizes that a described photo has: no others can be duplicates."""
    known = "SELECT 1 FROM photos WHERE size = ? AND content_hash IS NOT NULL LIMIT 1"
    return {size for size in set(some) if connection.execute(known, [size]).fetchone()}


def find(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> RecognisedPhoto | None:
    """Recognise a new or changed photo by its content; None if the index does not know it."""
    found = _find(connection, photo, content_hash)
    return found and found[0]


def store_recognised(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> RecognisedPhoto | None:
    """Store a photo with all that is known of its content; None if the content is new."""
    found = _find(connection, photo, content_hash)
    if found is None:
        return None
    recognised, original = found
    key = path_key(photo.path)
    match recognised.change:
        case "moved":
            _move(connection, original, key)
        case "copied":
            store.copy(connection, original.id, photo)
    connection.execute(
        "UPDATE photos SET size = ?, mtime_ns = ?, missing_since = NULL, missing_reason = NULL "
        "WHERE path = ?",
        [photo.size, photo.mtime_ns, key],
    )
    return recognised


def _find(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> tuple[RecognisedPhoto, _Row] | None:
    key = path_key(photo.path)
    duplicates = [
        _Row(*row)
        for row in connection.execute(
            "SELECT id, path, size, mtime_ns FROM photos "
            "WHERE content_hash = ? AND status = 'described' ORDER BY path != ?, id",
            [content_hash, key],
        )
    ]
    if not duplicates:
        return None
    if duplicates[0].path == key:
        return RecognisedPhoto(photo, "same", photo.path), duplicates[0]
    absence = Absence(connection)
    replaced = connection.execute("SELECT 1 FROM photos WHERE path = ?", [key]).fetchone()
    moved = next((row for row in duplicates if _has_left(row, absence, bool(replaced))), None)
    original = moved or duplicates[0]
    source = Path(os.fsdecode(original.path))
    return RecognisedPhoto(photo, "moved" if moved else "copied", source), original


def _has_left(row: _Row, absence: Absence, replaced: bool) -> bool:
    """Whether the content that a row describes is no longer at the row's path.

    If there is another content now, it was moved only if the new photo has `replaced` one as
    well: otherwise the photo was edited, and the copy is of the original.
    """
    try:
        found = os.stat(row.path)  # noqa: PTH116 (bytes)
    except (FileNotFoundError, NotADirectoryError):
        return absence.is_proved(row.path)
    except OSError:
        return False  # unknown
    return replaced and (found.st_size, found.st_mtime_ns) != (row.size, row.mtime_ns)


def _move(connection: sqlite3.Connection, row: _Row, key: bytes) -> None:
    """Change a row's path; a row that has it already, whose photo was replaced, gets the old one.

    So after names were swapped or passed on, a to b and b to c, each row is at its own photo,
    and human-authored captions stay with their photos.
    """
    there = connection.execute("SELECT id FROM photos WHERE path = ?", [key]).fetchone()
    if there:
        connection.execute("UPDATE photos SET path = x'00' WHERE id = ?", there)
    connection.execute("UPDATE photos SET path = ? WHERE id = ?", [key, row.id])
    if there:
        gone = not os.path.lexists(row.path)
        connection.execute(
            "UPDATE photos SET path = ?1, missing_since = iif(?2, ?3, missing_since), "
            "missing_reason = iif(?2, 'gone', missing_reason) WHERE id = ?4",
            [row.path, gone, now(), *there],
        )
        documents.refresh(connection, *there)
    documents.refresh(connection, row.id)  # for the new name
