"""Photos that are no longer found: marked, never forgotten until a person wants it so.

Every function here runs inside its caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from captioner.index import mounts
from captioner.index.database import Ids, ids, inside, now


@dataclass(frozen=True, slots=True)
class Missing:
    """A photo that the index remembers, and that is gone."""

    id: int
    path: Path
    since: str
    """When it was first not found: UTC, ISO 8601."""
    caption: str | None
    by_person: bool
    """Whether a person wrote that caption."""


def note(connection: sqlite3.Connection, roots: Iterable[bytes]) -> None:
    """Remember folders that were walked, and the drives that they lie on and hold."""
    for root in roots:
        connection.execute("INSERT OR IGNORE INTO roots VALUES (?)", [root])
        connection.executemany(
            "INSERT OR IGNORE INTO mounts VALUES (?)", ([point] for point in mounts.about(root))
        )


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
    roots: Iterable[bytes],
    unseen: Callable[[Ids], Ids],
    new: Collection[bytes],
    unreadable: Collection[bytes],
) -> Iterator[tuple[int, bytes]]:
    """Id and path of the photos that a walk of `roots` should have met and that are not there.

    None where a drive is away, below what could not be read, or below a root without any photo:
    that may be a drive's empty mount point.

    Parameters
    ----------
    unseen
        Gives those of some ids (N,) whose photos were not met.
    new
        Paths of the photos that were met and not known.
    unreadable
        Paths that the walk could not look at.
    """
    untold = {*unreadable, *away(connection)}
    for root in roots:
        known = ids(connection, "SELECT id FROM photos WHERE path >= ? AND path < ?", inside(root))
        lost = unseen(known)
        if len(lost) == len(known) and not any(is_below(path, {root}) for path in new):
            continue
        present = "SELECT path FROM photos WHERE id = ? AND missing_since IS NULL"
        for number in lost.tolist():
            for (path,) in connection.execute(present, [number]):
                if not is_below(path, untold) and not os.path.lexists(path):
                    yield number, path


def mark(connection: sqlite3.Connection, lost: Iterable[int]) -> None:
    """Take photos for missing from now on."""
    connection.executemany(
        "UPDATE photos SET missing_since = ? WHERE id = ?", ((now(), number) for number in lost)
    )


def unmark(connection: sqlite3.Connection, back: Iterable[int]) -> None:
    """Take photos for found again."""
    connection.executemany(
        "UPDATE photos SET missing_since = NULL WHERE id = ?", ((number,) for number in back)
    )


def found(connection: sqlite3.Connection, below: Collection[bytes]) -> list[Missing]:
    """The missing photos below some folders, or all of them, by path."""
    rows = connection.execute(
        "SELECT photos.id, path, missing_since, text, source IS 'person' FROM photos "
        "LEFT JOIN captions ON captions.id = (SELECT id FROM captions WHERE photo = photos.id "
        "ORDER BY source = 'person' DESC, rank LIMIT 1) "
        "WHERE missing_since IS NOT NULL ORDER BY path"
    )
    return [
        Missing(number, Path(os.fsdecode(path)), since, caption, bool(by_person))
        for number, path, since, caption, by_person in rows
        if not below or is_below(path, below)
    ]


def doubts(connection: sqlite3.Connection, gone: Iterable[Missing]) -> Iterator[str]:
    """Reasons to believe that photos are not gone for good, a sentence each."""
    paths = [os.fsencode(one.path) for one in gone]
    for point in away(connection):
        if any(is_below(path, {point}) for path in paths):
            yield f"The drive at {os.fsdecode(point)} is not mounted."
    for root in roots(connection):
        if not any(is_below(path, {root}) for path in paths):
            continue
        name = os.fsdecode(root)
        try:
            if not os.listdir(root):  # noqa: PTH208 (bytes)
                yield f"{name} is empty."
                continue
        except OSError as error:
            yield f"{name} cannot be looked at: {error.strerror}."
            continue
        total, lost = connection.execute(
            "SELECT count(*), count(missing_since) FROM photos WHERE path >= ? AND path < ?",
            inside(root),
        ).fetchone()
        if 2 * lost > total:
            yield f"{lost:,} of {total:,} photos below {name} are gone."


def remove(connection: sqlite3.Connection, gone: Iterable[Missing]) -> None:
    """Forget photos and all that was said of them."""
    connection.executemany("DELETE FROM photos WHERE id = ?", ((one.id,) for one in gone))
