"""Advisory locks that end with their process, even if killed: flock; LockFileEx on Windows."""

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


def try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; False if another process holds the lock.

    On Windows the first byte is locked, and no other process can read it until the lock ends.

    Raises
    ------
    OSError
        If the file system does not support locks.
    """
    if HAS_FLOCK:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True
    import filelock  # It would do the same above, but takes 0.1 s to import.

    return filelock.lock_descriptor(descriptor, blocking=False)


class FolderLock:
    """A lock on a folder against other captioner processes; also flushes the folder to disk.

    On POSIX the folder itself is locked. Windows cannot open a folder as a file: there a file in
    captioner's data folder is locked, named after the folder and removed with the lock, so that
    nothing is left among the user's photos.

    Raises
    ------
    OSError
        If the folder cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file: Path | None = None
        if system.WINDOWS:
            with os.scandir(paths.verbatim(path)):  # Raises if the folder cannot be read.
                self._file = lock_path(path)
            self._file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(
            self._file or path, os.O_RDWR | os.O_CREAT | _BINARY if self._file else os.O_RDONLY
        )

    def lock(self) -> bool:
        """Lock the folder without waiting, as `try_lock` does."""
        return try_lock(self._descriptor)

    def sync(self) -> None:
        """Flush the folder's entries to disk. On Windows, NTFS's journal does it."""
        if self._file:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
        if self._file:
            with suppress(OSError):  # Windows removes no file that is open elsewhere.
                self._file.unlink()


def lock_path(folder: Path) -> Path:
    """The file that is locked on Windows instead of a folder."""
    real = os.path.normcase(os.path.realpath(folder))
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:32]
    return app_paths.data_folder() / "locks" / f"{name}.lock"
