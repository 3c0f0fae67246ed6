"""Creating, replacing, renaming and removing files atomically."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from captioner import system

_OPEN_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds between attempts while another program, such as a virus scanner, has the file open."""


class InUseError(PermissionError):
    """Another program keeps a file open. Raised on Windows only."""


def create(path: Path, mode: int) -> int:
    """Create an empty file and open it for reading and writing.

    Returns
    -------
    A file descriptor.

    Raises
    ------
    FileExistsError
        If the file exists.
    """
    return os.open(path, _OPEN_FLAGS | os.O_CREAT | os.O_EXCL, mode)


def create_like(path: Path, source: Path) -> int:
    """Create a file that is to replace `source`, and open it; its content is undefined.

    On Windows it is a copy, since only the system copies alternate data streams and attributes.

    Returns
    -------
    A file descriptor.
    """
    if not system.WINDOWS:
        return create(path, 0o600)
    from captioner.system import windows

    windows.copy(source, path)
    return os.open(path, _OPEN_FLAGS)


def replace(source: Path, target: Path) -> None:
    """Rename a file over another one, atomically.

    Raises
    ------
    InUseError
        If another program keeps the target open.
    """
    _with_retries(lambda: os.replace(source, target))  # noqa: PTH105


def remove(path: Path) -> None:
    """Delete a file; raises as `replace`."""
    _with_retries(path.unlink)


def rename_new(source: Path, target: Path) -> None:
    """Rename a file without replacing another one.

    Raises
    ------
    FileExistsError
        If a file with the new name exists.
    """
    if system.WINDOWS:
        _with_retries(lambda: source.rename(target))  # Unlike on POSIX, it replaces no file.
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except (OSError, AttributeError):  # No hard links on this disk or system.
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.replace(source, target)  # noqa: PTH105
    else:
        with suppress(FileNotFoundError):
            source.unlink()


def can_set_owner(status: os.stat_result) -> bool:
    """Whether a file that replaces this one can have its owner. Windows decides per file."""
    return not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid)


def set_owner(path: Path, status: os.stat_result) -> None:
    """Set the owner and group of a file to those of another one.

    Raises
    ------
    PermissionError
        If this process may not do so.
    """
    now = path.stat()
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (status.st_uid, status.st_gid):
        os.chown(path, status.st_uid, status.st_gid)


def _with_retries(action: Callable[[], object]) -> None:
    if not system.WINDOWS:
        action()
        return
    for pause in (*PAUSES, None):
        try:
            action()
        except PermissionError as error:
            if pause is None:
                raise InUseError(*error.args) from error
            time.sleep(pause)
        else:
            return
