"""Locks that end with their process, however it ends: flock, and LockFileEx on Windows."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from captioner import app_paths, system
from captioner.system import paths

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:
    HAS_FLOCK = False
else:
    HAS_FLOCK = True

_BINARY: int = getattr(os, "O_BINARY", 0)


def lock(handle: int) -> bool:
    """Lock an open file; False if another process holds it.

    On Windows the first byte is locked, and nobody else can read it until the lock ends.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    if HAS_FLOCK:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True
    import filelock  # Which would do the same above, but takes 0.1 s to import.

    return filelock.lock_descriptor(handle, blocking=False)


class Folder:
    """A folder that is locked against other captioners and whose names reach the disk.

    POSIX locks the folder itself. Windows opens no folder as a file: there the lock is a file in
    captioner's own data folder, named after the folder and removed with the lock, so that nothing
    is left among a person's photos.

    Raises
    ------
    OSError
        If the folder cannot be entered.
    """

    def __init__(self, path: Path) -> None:
        self._file: Path | None = None
        if system.WINDOWS:
            with os.scandir(paths.verbatim(path)):  # Whether it can be entered.
                self._file = lock_file(path)
            self._file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(
            self._file or path, os.O_RDWR | os.O_CREAT | _BINARY if self._file else os.O_RDONLY
        )

    def lock(self) -> bool:
        """Lock it; as `lock`."""
        return lock(self._handle)

    def sync(self) -> None:
        """Let the names in it reach the disk. NTFS keeps a journal of them instead."""
        if self._file:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def close(self) -> None:
        """End the lock."""
        os.close(self._handle)
        if self._file:
            with suppress(OSError):  # Windows removes no file that another process has open.
                self._file.unlink()


def lock_file(folder: Path) -> Path:
    """The file whose lock stands for a folder's, on Windows."""
    real = os.path.normcase(os.path.realpath(folder))
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    return app_paths.data_folder() / "locks" / f"{name}.lock"
