"""Proof that files were deleted, and are not merely out of reach on a drive that is not mounted."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Collection, Iterable

from captioner.index import mounts


class Absence:
    """Tells deleted files from files that are out of reach.

    A drive that is not mounted, a folder that cannot be read and a link to either prove nothing
    about the files behind them.

    Parameters
    ----------
    unreadable
        Paths that could not be read.
    """

    def __init__(self, connection: sqlite3.Connection, unreadable: Iterable[bytes] = ()) -> None:
        self._out_of_reach = {*unreadable, *unmounted(connection)}
        self._trusted: dict[bytes, bool] = {}

    def is_proved(self, path: bytes) -> bool:
        """Whether no file is at an absolute path, and its folder would show it if there were."""
        if is_below(path, self._out_of_reach) or is_file(path):
            return False
        if os.path.islink(path):  # noqa: PTH114 (bytes)
            target = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
            if not (holds_anything(target) and self.is_trusted(target)):
                return False
        return self.is_trusted(os.path.dirname(path))  # noqa: PTH120

    def is_trusted(self, folder: bytes) -> bool:
        """Whether a folder, or its absence, can be trusted as evidence of what is in it."""
        if folder not in self._trusted:
            self._trusted[folder] = self._check(folder)
        return self._trusted[folder]

    def _check(self, folder: bytes) -> bool:
        while not os.path.isdir(folder):  # noqa: PTH112 (bytes)
            parent = os.path.dirname(folder)  # noqa: PTH120
            if parent == folder or os.path.islink(folder):  # noqa: PTH114
                return False  # a link to a drive that is not connected, perhaps
            folder = parent
        real = os.path.realpath(folder)
        if is_below(real, self._out_of_reach):
            return False
        # Behind a link may be an empty mount point that no earlier run has recorded.
        return real == folder or holds_anything(folder)


def unmounted(connection: sqlite3.Connection) -> list[bytes]:
    """Recorded mount points at which nothing is mounted now."""
    known = [path for (path,) in connection.execute("SELECT path FROM mounts ORDER BY path")]
    return [point for point in known if not mounts.is_mounted(point)]


def is_file(path: bytes) -> bool:
    """Whether a file exists; True if that is unknown, as on a network drive in trouble."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 (bytes)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        return error.errno != errno.ELOOP
    except ValueError:
        return False


def is_below(path: bytes, folders: Collection[bytes]) -> bool:
    """Whether an absolute path is one of some folders, or below one."""
    while path not in folders:
        parent = os.path.dirname(path)  # noqa: PTH120 (bytes)
        if parent == path:
            return False
        path = parent
    return bool(folders)


def holds_anything(folder: bytes) -> bool:
    """Whether a folder has any entry that is not hidden; False if that is unknown."""
    try:
        return not is_empty(folder)
    except OSError:
        return False


def is_empty(folder: bytes) -> bool:
    """Whether a folder has no entry that is not hidden.

    Raises
    ------
    OSError
        If it is absent or cannot be read.
    """
    with os.scandir(folder) as entries:
        return all(entry.name.startswith(b".") for entry in entries)
