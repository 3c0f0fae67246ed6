"""Making, renaming and removing files in single steps, as each system can."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from captioner import system

_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds between attempts at a file that another program has open, as virus scanners do."""


class InUseError(PermissionError):
    """Another program keeps a file open. Raised on Windows alone."""


def create(path: Path, mode: int) -> int:
    """Make an empty file that is not there yet, and open it for reading and writing."""
    return os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, mode)


def create_like(path: Path, source: Path) -> int:
    """Make a file to replace another one, and open it. Its content is not yet of any meaning.

    On Windows it is a copy: only the system copies alternate data streams and attributes.
    """
    if not system.WINDOWS:
        return create(path, 0o600)
    from captioner.system import windows

    windows.copy(source, path)
    return os.open(path, _OPEN)


def replace(source: Path, target: Path) -> None:
    """Put one file in the place of another.

    Raises
    ------
    InUseError
        If another program keeps the target open.
    """
    _patiently(lambda: os.replace(source, target))  # noqa: PTH105


def remove(path: Path) -> None:
    """Delete a file; as `replace`."""
    _patiently(path.unlink)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file to a name that no file has.

    Raises
    ------
    FileExistsError
        If a file has it.
    """
    if system.WINDOWS:
        _patiently(lambda: source.rename(target))  # Other than POSIX, it replaces no file.
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # A disk or a system without links.
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.replace(source, target)  # noqa: PTH105
    else:
        with suppress(FileNotFoundError):
            source.unlink()


def may_take_owner(found: os.stat_result) -> bool:
    """Whether a file that replaces this one can have its owner. Windows decides file by file."""
    return not hasattr(os, "geteuid") or os.geteuid() in (0, found.st_uid)


def give_owner(path: Path, found: os.stat_result) -> None:
    """Give a file the owner and group that another one has.

    Raises
    ------
    PermissionError
        If that is not ours to do.
    """
    now = path.stat()
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (found.st_uid, found.st_gid):
        os.chown(path, found.st_uid, found.st_gid)


def _patiently(act: Callable[[], object]) -> None:
    if not system.WINDOWS:
        act()
        return
    for pause in (*PAUSES, None):
        try:
            act()
        except PermissionError as error:
            if pause is None:
                raise InUseError(*error.args) from error
            time.sleep(pause)
        else:
            return
