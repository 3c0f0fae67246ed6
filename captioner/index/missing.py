"""Photos that are no longer found: marked, and removed only when a person asks for it.

Every function here runs inside its caller's transaction.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from captioner.index import mounts
from captioner.index.database import Ids, ids, inside, now
from captioner.index.shown import IN_ORDER

Reason = Literal["gone", "ignored"]
"""Why a photo is out of results: its file was deleted, or an ignore file names it now."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A photo in the index, as far as a person needs it to decide whether to remove it."""

    id: int
    path: Path
    since: str | None
    """When it was first not found: UTC, ISO 8601. None for one that is not missing."""
    reason: Reason | None
    caption: str | None
    by_person: bool
    """Whether a person wrote that caption."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A photo that a walk did not find, and the reason."""

    id: int
    path: Path
    reason: Reason


@dataclass(frozen=True, slots=True)
class Walked:
    """What the paths given to a walk turned out to be. All are absolute, in bytes."""

    folders: tuple[bytes, ...] = ()
    absent: tuple[bytes, ...] = ()
    """Paths that do not exist."""
    beside: frozenset[bytes] = frozenset()
    """Folders of the files that were named."""
    everywhere: bool = False
    """Whether to look for photos that are gone outside these paths, too."""

    @classmethod
    def of(cls, paths: Iterable[bytes], *, everywhere: bool = False) -> Self:
        """Look at each path once."""
        folders, absent, beside = [], [], set()
        for path in paths:
            try:
                if stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 (bytes)
                    folders.append(path)
                else:
                    beside.add(os.path.dirname(path))  # noqa: PTH120 (bytes)
            except (FileNotFoundError, NotADirectoryError):
                absent.append(path)
                beside.add(os.path.dirname(path))  # noqa: PTH120
            except (OSError, ValueError):
                continue
        return cls(tuple(folders), tuple(absent), frozenset(beside), everywhere)


class Absence:
    """Tells files that were deleted from files that are out of reach.

    A drive that is not mounted, a folder that cannot be read and a link to either say nothing of
    the files behind them.

    Parameters
    ----------
    unreadable
        Paths that the walk could not look at.
    """

    def __init__(self, connection: sqlite3.Connection, unreadable: Iterable[bytes] = ()) -> None:
        self._out_of_reach = {*unreadable, *away(connection)}
        self._folders: dict[bytes, bool] = {}

    def proved(self, path: bytes) -> bool:
        """Whether no file is at an absolute path, and its folder would show it if there were."""
        if is_below(path, self._out_of_reach) or is_file(path):
            return False
        if os.path.islink(path):  # noqa: PTH114 (bytes)
            target = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
            if not (holds_anything(target) and self.shows(target)):
                return False
        return self.shows(os.path.dirname(path))  # noqa: PTH120

    def shows(self, folder: bytes) -> bool:
        """Whether a folder, or its absence, can be trusted to tell what is in it."""
        if folder not in self._folders:
            self._folders[folder] = self._judge(folder)
        return self._folders[folder]

    def _judge(self, folder: bytes) -> bool:
        while not os.path.isdir(folder):  # noqa: PTH112 (bytes)
            above = os.path.dirname(folder)  # noqa: PTH120
            if above == folder or os.path.islink(folder):  # noqa: PTH114
                return False  # a link to a drive that is not connected, perhaps
            folder = above
        real = os.path.realpath(folder)
        if is_below(real, self._out_of_reach):
            return False
        # Behind a link may be an empty mount point that no earlier run has recorded.
        return real == folder or holds_anything(folder)


def is_file(path: bytes) -> bool:
    """Whether a file is there, or that cannot be told: a network drive may be in trouble."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (bytes)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.ELOOP
    except ValueError:
        return False


def holds_anything(folder: bytes) -> bool:
    """Whether a folder has anything in it that is not hidden; False where that is unknown."""
    try:
        return not _is_empty(folder)
    except OSError:
        return False


def _is_empty(folder: bytes) -> bool:
    with os.scandir(folder) as entries:
        return all(entry.name.startswith(b".") for entry in entries)


def note(connection: sqlite3.Connection, walked: Walked) -> None:
    """Remember folders that were walked, and the drives that they lie on and hold."""
    points: set[bytes] = set()
    for root in walked.folders:
        connection.execute("INSERT OR IGNORE INTO roots VALUES (?)", [root])
        for folder in {root, os.path.realpath(root)}:
            points |= mounts.about(folder)
    for beside in walked.beside:
        points |= {mounts.above(folder) for folder in {beside, os.path.realpath(beside)}}
    connection.executemany("INSERT OR IGNORE INTO mounts VALUES (?)", ([one] for one in points))


def roots(connection: sqlite3.Connection) -> list[bytes]:
    """All folders that were walked."""
    return [path for (path,) in connection.execute("SELECT path FROM roots ORDER BY path")]


def away(connection: sqlite3.Connection) -> list[bytes]:
    """Where a drive was mounted when photos were found there, and none is now."""
    known = [path for (path,) in connection.execute("SELECT path FROM mounts ORDER BY path")]
    return [point for point in known if not mounts.is_mounted(point)]


def is_below(path: bytes, folders: Collection[bytes]) -> bool:
    """Whether an absolute path is one of some folders, or below one."""
    while path not in folders:
        above = os.path.dirname(path)  # noqa: PTH120 (bytes)
        if above == path:
            return False
        path = above
    return bool(folders)


def vanished(
    connection: sqlite3.Connection,
    walked: Walked,
    unseen: Callable[[Ids], Ids],
    new: Collection[bytes],
    unreadable: Iterable[bytes],
    ignored: Callable[[bytes, bytes], bool],
) -> Iterator[Lost]:
    """The photos that a walk should have met and did not.

    As gone: none where a drive is away, below what could not be read, or below a folder that has
    become empty: that may be a drive's mount point.

    Parameters
    ----------
    unseen
        Gives those of some ids (N,) whose photos were not met.
    new
        Paths of the photos that were met and not known.
    unreadable
        Paths that the walk could not look at.
    ignored
        Whether the ignore files in a folder leave out a path below it.
    """
    absence = Absence(connection, set(unreadable) - set(walked.absent))
    known_roots = {*roots(connection), *walked.folders}
    met: set[int] = set()
    for root in walked.folders:
        known = ids(connection, "SELECT id FROM photos WHERE path >= ? AND path < ?", inside(root))
        lost = unseen(known)
        emptied = (
            len(lost) == len(known)
            and not any(is_below(path, {root}) for path in new)
            and not holds_anything(root)
        )
        deeper = {other for other in known_roots if other != root and is_below(other, {root})}
        present = "SELECT path FROM photos WHERE id = ? AND missing_since IS NULL"
        for number in lost.tolist():
            if number in met:
                continue
            for (path,) in connection.execute(present, [number]):
                if path in new:
                    continue
                if absence.proved(path):
                    reason: Reason = "gone"
                    if emptied:
                        continue
                elif not is_below(path, deeper) and ignored(root, path):
                    reason = "ignored"
                else:
                    continue
                met.add(number)
                yield Lost(number, _path(path), reason)
    rest = _outside(connection, walked, known_roots)
    numbers = np.fromiter((number for number, _ in rest), np.int64, len(rest))
    still = set(unseen(numbers).tolist()) - met
    for number, path in rest:
        if number in still and absence.proved(path):
            still.discard(number)
            yield Lost(number, _path(path), "gone")


def unmarked(connection: sqlite3.Connection) -> Iterator[Lost]:
    """Photos that are gone and that no walk can meet, being below no folder that there is."""
    absence = Absence(connection)
    for number, path in _outside(connection, Walked(everywhere=True), set(roots(connection))):
        if absence.proved(path):
            yield Lost(number, _path(path), "gone")


def _outside(
    connection: sqlite3.Connection, walked: Walked, known_roots: Collection[bytes]
) -> list[tuple[int, bytes]]:
    """Id and path of photos, not missing, that are below no folder which can be walked.

    Those at or below the absent paths, and those below no root: beside the files that were named,
    or all of them.
    """
    gaps = list(_gaps(known_roots))
    absent = set(walked.absent)
    if walked.everywhere:
        # A file or a link may stand where the folder was: what is gone is proved photo by photo.
        absent.update(root for root in known_roots if not os.path.isdir(root))  # noqa: PTH112
        ranges = gaps
    else:
        ranges = [
            (max(start, low), min(end, high))
            for low, high in map(inside, walked.beside)
            for start, end in gaps
            if max(start, low) < min(end, high)
        ]
    select = "SELECT id, path FROM photos WHERE path >= ? AND path < ? AND missing_since IS NULL"
    found = {
        number: path
        for limits in ranges
        for number, path in connection.execute(select, limits)
        if walked.everywhere or os.path.dirname(path) in walked.beside  # noqa: PTH120 (bytes)
    }
    for folder in absent:
        found.update(connection.execute(select, inside(folder)))
        found.update(connection.execute(select, (folder, folder + b"\0")))
    return sorted(found.items(), key=lambda item: item[1])


def _gaps(folders: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The ranges of keys that lie below none of some folders."""
    at = b""
    for start, end in sorted(map(inside, folders)):
        if start > at:
            yield at, start
        at = max(at, end)
    yield at, b"\xff"


def emptied(connection: sqlite3.Connection) -> Iterator[tuple[bytes, int]]:
    """Roots that are there and empty, and how many photos below them are not marked as missing."""
    for root in roots(connection):
        try:
            empty = _is_empty(root)
        except OSError:  # absent, or not to be looked into
            continue
        if empty:
            [(number,)] = connection.execute(
                "SELECT count(*) FROM photos WHERE path >= ? AND path < ? "
                "AND missing_since IS NULL",
                inside(root),
            )
            if number:
                yield root, number


def mark(connection: sqlite3.Connection, lost: Iterable[Lost]) -> None:
    """Take photos for missing from now on."""
    connection.executemany(
        "UPDATE photos SET missing_since = ?, missing_reason = ? WHERE id = ?",
        ((now(), one.reason, one.id) for one in lost),
    )


def unmark(connection: sqlite3.Connection, back: Iterable[int]) -> None:
    """Take photos for found again."""
    connection.executemany(
        "UPDATE photos SET missing_since = NULL, missing_reason = NULL WHERE id = ?",
        ((number,) for number in back),
    )


_ENTRIES = f"""
    SELECT photos.id, path, missing_since, missing_reason, text, source IS 'person' FROM photos
    LEFT JOIN captions ON captions.id = (
        SELECT id FROM captions WHERE photo = photos.id
        ORDER BY {IN_ORDER} LIMIT 1
    )
    WHERE %s ORDER BY path
"""


def found(connection: sqlite3.Connection, below: Collection[bytes]) -> list[Entry]:
    """The missing photos below some folders, or all of them, by path."""
    rows = connection.execute(_ENTRIES % "missing_since IS NOT NULL")
    return [_entry(*row) for row in rows if not below or is_below(row[1], below)]


def entries(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[Entry]:
    """Photos by their ids."""
    one = _ENTRIES % "photos.id = ?"
    return [_entry(*row) for number in numbers for row in connection.execute(one, [number])]


def at_or_below(connection: sqlite3.Connection, path: bytes) -> list[Entry]:
    """All photos at a path or below it, missing or not, by path."""
    rows = connection.execute(
        _ENTRIES % "path = ? OR (path >= ? AND path < ?)", [path, *inside(path)]
    )
    return [_entry(*row) for row in rows]


def doubts(connection: sqlite3.Connection, gone: Iterable[Entry]) -> Iterator[str]:
    """Reasons to believe that photos are not gone for good, a sentence each."""
    paths = [os.fsencode(one.path) for one in gone if one.reason != "ignored"]
    for point in away(connection):
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
            inside(root),
        ).fetchone()
        lost = max(listed, marked)
        try:
            if not os.listdir(root):  # noqa: PTH208 (bytes)
                yield f"{name} is empty."
                continue
        except FileNotFoundError:
            yield f"{name} no longer exists, and {lost:,} of {total:,} photos with it."
            continue
        except NotADirectoryError:
            yield f"{name} is not a folder any more, and {lost:,} of {total:,} photos are gone."
            continue
        except OSError as error:
            yield f"{name} cannot be looked at: {error.strerror}."
            continue
        if 2 * lost > total:
            yield f"{lost:,} of {total:,} photos below {name} are gone."


def remove(connection: sqlite3.Connection, gone: Iterable[Entry]) -> None:
    """Delete photos with all that was recorded of them, and roots that were deleted with them."""
    connection.executemany("DELETE FROM photos WHERE id = ?", ((one.id,) for one in gone))
    forget_deleted_roots(connection)


def forget_deleted_roots(connection: sqlite3.Connection) -> None:
    """Forget folders that were deleted and of which the index holds no photo any more."""
    absence = Absence(connection)
    for root in roots(connection):
        holds = "SELECT 1 FROM photos WHERE path >= ? AND path < ? LIMIT 1"
        if (
            not os.path.lexists(root)
            and absence.proved(root)
            and not connection.execute(holds, inside(root)).fetchone()
        ):
            connection.execute("DELETE FROM roots WHERE path = ?", [root])


def forget_roots(connection: sqlite3.Connection, path: bytes) -> None:
    """Forget the folders at a path or below it, so that no run walks them by itself again."""
    connection.execute(
        "DELETE FROM roots WHERE path = ? OR (path >= ? AND path < ?)", [path, *inside(path)]
    )


def _entry(
    number: int,
    path: bytes,
    since: str | None,
    reason: Reason | None,
    caption: str | None,
    by_person: int,
) -> Entry:
    return Entry(number, _path(path), since, reason, caption, bool(by_person))


def _path(key: bytes) -> Path:
    return Path(os.fsdecode(key))
