"""Photos known by their content: moved and renamed ones are kept, copies take over what is known.

Every function here runs inside its caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from captioner.index import missing, store, texts
from captioner.index.database import now, path_key
from captioner.types import Photo, RecognisedPhoto


class _Row(NamedTuple):
    id: int
    path: bytes
    size: int
    mtime_ns: int


def sizes(connection: sqlite3.Connection, some: Iterable[int]) -> set[int]:
    """Those of some sizes that a described photo has: only its content can be a known one."""
    known = "SELECT 1 FROM photos WHERE size = ? AND content_hash IS NOT NULL LIMIT 1"
    return {size for size in set(some) if connection.execute(known, [size]).fetchone()}


def find(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> RecognisedPhoto | None:
    """What a photo that is new or changed is to the index; None where its content is new, too."""
    found = _find(connection, photo, content_hash)
    return found and found[0]


def adopt(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> RecognisedPhoto | None:
    """Keep a photo with all that is known of its content; None where its content is new."""
    found = _find(connection, photo, content_hash)
    if found is None:
        return None
    kept, twin = found
    key = path_key(photo.path)
    match kept.change:
        case "moved":
            _move(connection, twin, key)
        case "copied":
            store.copy(connection, twin.id, photo)
    connection.execute(
        "UPDATE photos SET size = ?, mtime_ns = ?, missing_since = NULL, missing_reason = NULL "
        "WHERE path = ?",
        [photo.size, photo.mtime_ns, key],
    )
    return kept


def _find(
    connection: sqlite3.Connection, photo: Photo, content_hash: bytes
) -> tuple[RecognisedPhoto, _Row] | None:
    key = path_key(photo.path)
    twins = [
        _Row(*row)
        for row in connection.execute(
            "SELECT id, path, size, mtime_ns FROM photos "
            "WHERE content_hash = ? AND status = 'described' ORDER BY path != ?, id",
            [content_hash, key],
        )
    ]
    if not twins:
        return None
    if twins[0].path == key:
        return RecognisedPhoto(photo, "same", photo.path), twins[0]
    absence = missing.Absence(connection)
    replaced = connection.execute("SELECT 1 FROM photos WHERE path = ?", [key]).fetchone()
    moved = next((twin for twin in twins if _left(twin, absence, bool(replaced))), None)
    twin = moved or twins[0]
    return RecognisedPhoto(
        photo, "moved" if moved else "copied", Path(os.fsdecode(twin.path))
    ), twin


def _left(row: _Row, absence: missing.Absence, replaced: bool) -> bool:
    """Whether the content that a row describes has left the place that the row says.

    Where another content is there now, that tells of a move only if the photo in question has
    `replaced` one as well: else a person has kept the original and edited the photo.
    """
    try:
        found = os.stat(row.path)  # noqa: PTH116 (bytes)
    except (FileNotFoundError, NotADirectoryError):
        return absence.proved(row.path)
    except OSError:
        return False  # it cannot be told
    return replaced and (found.st_size, found.st_mtime_ns) != (row.size, row.mtime_ns)


def _move(connection: sqlite3.Connection, row: _Row, key: bytes) -> None:
    """Change a row's path; a row that has it already, whose photo was replaced, gets the old one.

    So names that were exchanged or passed on, a to b and b to c, end with each photo's row at its
    photo, and what a person said stays with what it was said of.
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
        texts.refresh(connection, *there)
    texts.refresh(connection, row.id)  # the words of the new name
