"""Missing photos: found by a scan, marked, and deleted only on request.

Every function runs inside its caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from captioner.index import mounts
from captioner.index.absence import Absence, holds_anything, is_below, is_empty, unmounted
from captioner.index.database import Ids, now, range_below, select_ids
from captioner.index.display import JOIN_BEST_CAPTION

MissingReason = Literal["gone", "ignored"]
"""Why a photo is left out of results: its file was deleted, or it matches an ignore file now."""


@dataclass(frozen=True, slots=True)
class IndexedPhoto:
    """A photo in the index, with what one needs to decide whether to delete it."""

    id: int
    path: Path
    since: str | None
    """Since when it is missing: UTC, ISO 8601. None if it is not."""
    reason: MissingReason | None
    caption: str | None
    by_person: bool
    """Whether the caption is human-authored."""


@dataclass(frozen=True, slots=True)
class MissingPhoto:
    """A photo that a scan did not find, and why."""

    id: int
    path: Path
    reason: MissingReason


@dataclass(frozen=True, slots=True)
class ScannedPaths:
    """The paths given to a scan, by what is there. All are absolute, in bytes."""

    folders: tuple[bytes, ...] = ()
    absent: tuple[bytes, ...] = ()
    """Paths that do not exist."""
    parents: frozenset[bytes] = frozenset()
    """Folders of the files that were named."""
    everywhere: bool = False
    """Whether to look for deleted photos outside these paths, too."""

    @classmethod
    def classify(cls, paths: Iterable[bytes], *, everywhere: bool = False) -> Self:
        """See what is at each path; those that cannot be read are left out."""
        folders, absent, parents = [], [], set()
        for path in paths:
            try:
                if stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 (bytes)
                    folders.append(path)
                else:
                    parents.add(os.path.dirname(path))  # noqa: PTH120 (bytes)
            except (FileNotFoundError, NotADirectoryError):
                absent.append(path)
                parents.add(os.path.dirname(path))  # noqa: PTH120
            except (OSError, ValueError):
                continue
        return cls(tuple(folders), tuple(absent), frozenset(parents), everywhere)


def record_scan(connection: sqlite3.Connection, scanned: ScannedPaths) -> None:
    """Store the folders that were scanned, and the mount points above and below them."""
    points: set[bytes] = set()
    for root in scanned.folders:
        connection.execute("INSERT OR IGNORE INTO roots VALUES (?)", [root])
        for folder in {root, os.path.realpath(root)}:
            points |= mounts.mount_points_of(folder)
    for parent in scanned.parents:
        points |= {mounts.mount_point_of(folder) for folder in {parent, os.path.realpath(parent)}}
    connection.executemany("INSERT OR IGNORE INTO mounts VALUES (?)", ([one] for one in points))


def roots(connection: sqlite3.Connection) -> list[bytes]:
    """All folders that were indexed, by path."""
    return [path for (path,) in connection.execute("SELECT path FROM roots ORDER BY path")]


def find_missing(
    connection: sqlite3.Connection,
    scanned: ScannedPaths,
    unseen: Callable[[Ids], Ids],
    new: Collection[bytes],
    unreadable: Iterable[bytes],
    is_ignored: Callable[[bytes, bytes], bool],
) -> Iterator[MissingPhoto]:
    """The photos that a scan should have found and did not.

    None is gone if its drive is not mounted, or if it is below a path that could not be read, or
    below a folder that has become empty: that may be a drive's mount point.

    Parameters
    ----------
    unseen
        Selects from ids (N,) those whose photos the scan has not found.
    new
        Paths of the photos that the scan found and the index did not know.
    unreadable
        Paths that the scan could not read.
    is_ignored
        Whether the ignore files in a folder exclude a path below it.
    """
    absence = Absence(connection, set(unreadable) - set(scanned.absent))
    known_roots = {*roots(connection), *scanned.folders}
    reported: set[int] = set()
    for root in scanned.folders:
        known = select_ids(
            connection, "SELECT id FROM photos WHERE path >= ? AND path < ?", range_below(root)
        )
        not_found = unseen(known)
        emptied = (
            len(not_found) == len(known)
            and not any(is_below(path, {root}) for path in new)
            and not holds_anything(root)
        )
        nested = {other for other in known_roots if other != root and is_below(other, {root})}
        present = "SELECT path FROM photos WHERE id = ? AND missing_since IS NULL"
        for number in not_found.tolist():
            if number in reported:
                continue
            for (path,) in connection.execute(present, [number]):
                if path in new:
                    continue
                if absence.is_proved(path):
                    reason: MissingReason = "gone"
                    if emptied:
                        continue
                elif not is_below(path, nested) and is_ignored(root, path):
                    reason = "ignored"
                else:
                    continue
                reported.add(number)
                yield MissingPhoto(number, _path(path), reason)
    rest = _outside(connection, scanned, known_roots)
    numbers = np.fromiter((number for number, _ in rest), np.int64, len(rest))
    remaining = set(unseen(numbers).tolist()) - reported
    for number, path in rest:
        if number in remaining and absence.is_proved(path):
            remaining.discard(number)
            yield MissingPhoto(number, _path(path), "gone")


def find_unmarked(connection: sqlite3.Connection) -> Iterator[MissingPhoto]:
    """Photos that are gone and that no scan can report, since no existing folder holds them."""
    absence = Absence(connection)
    for number, path in _outside(connection, ScannedPaths(everywhere=True), set(roots(connection))):
        if absence.is_proved(path):
            yield MissingPhoto(number, _path(path), "gone")


def _outside(
    connection: sqlite3.Connection, scanned: ScannedPaths, known_roots: Collection[bytes]
) -> list[tuple[int, bytes]]:
    """Id and path of photos, not marked as missing, that are below no folder to be scanned.

    Those at or below the absent paths, and those below no root: next to the files that were
    named, or all of them.
    """
    gaps = list(_gaps(known_roots))
    absent = set(scanned.absent)
    if scanned.everywhere:
        # A file or a link may have replaced the folder: absence is proved photo by photo.
        absent.update(root for root in known_roots if not os.path.isdir(root))  # noqa: PTH112
        ranges = gaps
    else:
        ranges = [
            (max(start, low), min(end, high))
            for low, high in map(range_below, scanned.parents)
            for start, end in gaps
            if max(start, low) < min(end, high)
        ]
    select = "SELECT id, path FROM photos WHERE path >= ? AND path < ? AND missing_since IS NULL"
    found = {
        number: path
        for limits in ranges
        for number, path in connection.execute(select, limits)
        if scanned.everywhere or os.path.dirname(path) in scanned.parents  # noqa: PTH120 (bytes)
    }
    for folder in absent:
        found.update(connection.execute(select, range_below(folder)))
        found.update(connection.execute(select, (folder, folder + b"\0")))
    return sorted(found.items(), key=lambda item: item[1])


def _gaps(folders: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The ranges of paths that are below none of some folders."""
    end_of_last = b""
    for start, end in sorted(map(range_below, folders)):
        if start > end_of_last:
            yield end_of_last, start
        end_of_last = max(end_of_last, end)
    yield end_of_last, b"\xff"


def empty_roots(connection: sqlite3.Connection) -> Iterator[tuple[bytes, int]]:
    """Roots that exist and are empty, and how many photos below them are not marked as missing."""
    for root in roots(connection):
        try:
            empty = is_empty(root)
        except OSError:  # absent, or not readable
            continue
        if empty:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM photos WHERE path >= ? AND path < ? "
                "AND missing_since IS NULL",
                range_below(root),
            )
            if number:
                yield root, number


def mark(connection: sqlite3.Connection, photos: Iterable[MissingPhoto]) -> None:
    """Mark photos as missing from now on."""
    connection.executemany(
        "UPDATE photos SET missing_since = ?, missing_reason = ? WHERE id = ?",
        ((now(), one.reason, one.id) for one in photos),
    )


def unmark(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Mark photos as found again."""
    connection.executemany(
        "UPDATE photos SET missing_since = NULL, missing_reason = NULL WHERE id = ?",
        ((number,) for number in ids),
    )


_PHOTOS = f"""
    SELECT photos.id, path, missing_since, missing_reason, text, source IS 'person' FROM photos
    {JOIN_BEST_CAPTION}
    WHERE %s ORDER BY path
"""


def missing_photos(connection: sqlite3.Connection, below: Collection[bytes]) -> list[IndexedPhoto]:
    """The photos marked as missing below some folders, or all of them, by path."""
    rows = connection.execute(_PHOTOS % "missing_since IS NOT NULL")
    return [_indexed_photo(*row) for row in rows if not below or is_below(row[1], below)]


def photos_by_id(connection: sqlite3.Connection, ids: Iterable[int]) -> list[IndexedPhoto]:
    """Photos by their ids."""
    select = _PHOTOS % "photos.id = ?"
    return [_indexed_photo(*row) for number in ids for row in connection.execute(select, [number])]


def photos_at(connection: sqlite3.Connection, path: bytes) -> list[IndexedPhoto]:
    """All photos at a path or below it, missing or not, by path."""
    rows = connection.execute(
        _PHOTOS % "path = ? OR (path >= ? AND path < ?)", [path, *range_below(path)]
    )
    return [_indexed_photo(*row) for row in rows]


def removal_warnings(connection: sqlite3.Connection, gone: Iterable[IndexedPhoto]) -> Iterator[str]:
    """Reasons why photos may not be gone for good, one sentence each."""
    paths = [os.fsencode(one.path) for one in gone if one.reason != "ignored"]
    for point in unmounted(connection):
        if any(is_below(path, {point}) for path in paths):
            yield f"The drive at {os.fsdecode(point)} is not mounted."
    for root in roots(connection):
        listed = sum(is_below(path, {root}) for path in paths)
        if not listed:
            continue
        name = os.fsdecode(root)
        total, marked = connection.execute(
            "SELECT count(*), count(missing_since) - count(*) FILTER "
            "(WHERE missing_reason = 'ignored') FROM photos WHERE path >= ? AND path < ?",
            range_below(root),
        ).fetchone()
        lost = max(listed, marked)
        try:
            if not os.listdir(root):  # noqa: PTH208 (bytes)
                yield f"{name} is empty."
                continue
        except FileNotFoundError:
            yield f"{name} no longer exists, and {lost:,} of its {total:,} photos are gone."
            continue
        except NotADirectoryError:
            yield f"{name} is no longer a folder, and {lost:,} of its {total:,} photos are gone."
            continue
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}."
            continue
        if 2 * lost > total:
            yield f"{lost:,} of the {total:,} photos below {name} are gone."


def delete(connection: sqlite3.Connection, gone: Iterable[IndexedPhoto]) -> None:
    """Delete photos and everything recorded about them, and roots that no longer exist."""
    connection.executemany("DELETE FROM photos WHERE id = ?", ((one.id,) for one in gone))
    delete_absent_roots(connection)


def delete_absent_roots(connection: sqlite3.Connection) -> None:
    """Delete roots that no longer exist and of which the index holds no photo."""
    absence = Absence(connection)
    for root in roots(connection):
        holds = "SELECT 1 FROM photos WHERE path >= ? AND path < ? LIMIT 1"
        if (
            not os.path.lexists(root)
            and absence.is_proved(root)
            and not connection.execute(holds, range_below(root)).fetchone()
        ):
            connection.execute("DELETE FROM roots WHERE path = ?", [root])


def delete_roots(connection: sqlite3.Connection, path: bytes) -> None:
    """Delete the roots at a path or below it, so that no run scans them unasked again."""
    connection.execute(
        "DELETE FROM roots WHERE path = ? OR (path >= ? AND path < ?)", [path, *range_below(path)]
    )


def _indexed_photo(
    number: int,
    path: bytes,
    since: str | None,
    reason: MissingReason | None,
    caption: str | None,
    by_person: int,
) -> IndexedPhoto:
    return IndexedPhoto(number, _path(path), since, reason, caption, bool(by_person))


def _path(key: bytes) -> Path:
    return Path(os.fsdecode(key))
