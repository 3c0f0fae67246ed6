"""Atomic replacement of a file: at every moment either the old or the new one is there as a whole.

The new bytes are written to a temporary file in the same folder and read back. It gets owner,
permissions and attributes of the old file, then its name, which the system does in one step.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.system import attributes, files, locks
from captioner.system.paths import verbatim

_PREFIX, _SUFFIX = ".captioner-", ".tmp"


class OutputFolderLock:
    """Lock on the folder that is written to, against other captioner processes. A context manager.

    One folder at a time, since the photos of a folder follow each other. Temporary files that a
    killed run has left are deleted when the lock is acquired.
    """

    def __init__(self) -> None:
        self._locked: tuple[Path, locks.FolderLock] | None = None

    def __enter__(self) -> OutputFolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def acquire(self, folder: Path) -> None:
        """Lock a folder, and release the previous one.

        Raises
        ------
        RefusedError
            If another captioner process has locked it, or it is not accessible.
        """
        if self._locked and self._locked[0] == folder:
            return
        self._release()
        try:
            lock = locks.FolderLock(folder)
        except OSError as error:
            # On Windows it may be the folder of the lock files.
            other = error.filename if error.filename not in (folder, str(folder)) else None
            detail = ": ".join(filter(None, (other and os.fspath(other), error.strerror)))
            raise RefusedError(RefusalReason.FOLDER, detail) from error
        except CaptionerError as error:  # There is no folder for lock files.
            raise RefusedError(RefusalReason.FOLDER, error.reason) from error
        self._locked = (folder, lock)
        try:
            if not lock.lock():
                self._release()
                raise RefusedError(RefusalReason.BUSY)
        except OSError:
            return  # Without locks, temporary files may belong to a running process.
        with os.scandir(verbatim(folder)) as entries:
            stale = [
                e.path for e in entries if e.name.startswith(_PREFIX) and e.name.endswith(_SUFFIX)
            ]
        for path in stale:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def sync(self) -> None:
        """Flush the folder's entries to the disk."""
        if self._locked:
            self._locked[1].sync()

    def _release(self) -> None:
        if self._locked:
            self._locked[1].close()
            self._locked = None


def sha256(data: bytes) -> bytes:
    """SHA-256, by which the content of a file is recognised."""
    return hashlib.sha256(data).digest()


def resolve_replaceable(path: Path) -> Path:
    """The real path of a file that can be replaced without loss.

    Raises
    ------
    RefusedError
        If it cannot be replaced.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        found = real.stat()
    except OSError as error:
        raise RefusedError(RefusalReason.SYSTEM, error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(RefusalReason.NOT_REGULAR)
    if found.st_nlink != 1:
        raise RefusedError(RefusalReason.HARD_LINKED)
    if not found.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise RefusedError(RefusalReason.READ_ONLY)
    if not files.can_set_owner(found):
        raise RefusedError(RefusalReason.OWNER)
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise RefusedError(RefusalReason.FOLDER)
    return real


def replace(
    path: Path,
    data: bytes,
    expected: bytes,
    *,
    lock: OutputFolderLock,
    record: Callable[[], None],
    sync: bool = True,
    keep_times: bool = False,
) -> None:
    """Replace the content of a file with `data`.

    Parameters
    ----------
    path
        As `resolve_replaceable` returns it.
    expected
        The content that is to be replaced.
    record
        Called when all is ready; from then on the file may be the new one.
    sync
        Wait for the disk, so that a power cut cannot lose the file.
    keep_times
        Keep the modification time, by which other programs notice changes.

    Raises
    ------
    RefusedError
        If the content is not the expected one, or attributes of the file cannot be preserved. The
        file is unchanged.
    """
    lock.acquire(path.parent)
    path = verbatim(path)
    try:
        before = path.stat()
        temporary = _temporary(path)
        handle = files.create_like(temporary, path)
        try:
            _write_and_verify(handle, data, sync=sync)
            _copy_attributes(temporary, path, before, keep_times=keep_times)
            _expect_unchanged(path, before, expected)
            record()
            files.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if sync:
            lock.sync()
    except OSError as error:
        raise _refused(error) from error


def create(
    path: Path,
    data: bytes,
    *,
    permissions_from: Path,
    lock: OutputFolderLock,
    record: Callable[[], None],
    sync: bool = True,
) -> None:
    """Create a new file that has no more permissions than another.

    Raises
    ------
    RefusedError
        If the folder is not writable, or the file exists already.
    """
    lock.acquire(path.parent)
    path = verbatim(path)
    try:
        mode = permissions_from.stat().st_mode & 0o666 | 0o200
        temporary = _temporary(path)
        handle = files.create(temporary, mode)
        try:
            _write_and_verify(handle, data, sync=sync)
            record()
            files.rename_new(temporary, path)
        except FileExistsError:
            raise RefusedError(RefusalReason.CHANGED) from None
        finally:
            with suppress(OSError):
                temporary.unlink()
        if sync:
            lock.sync()
    except files.InUseError as error:
        raise _refused(error) from error
    except PermissionError as error:
        raise RefusedError(RefusalReason.FOLDER) from error
    except OSError as error:
        raise RefusedError(RefusalReason.SYSTEM, error.strerror or str(error)) from error


def remove(path: Path, expected: bytes, *, lock: OutputFolderLock, sync: bool = True) -> None:
    """Delete a file with the expected content.

    Raises
    ------
    RefusedError
        If its content is another.
    """
    lock.acquire(path.parent)
    path = verbatim(path)
    try:
        _expect_unchanged(path, path.stat(), expected)
        files.remove(path)
        if sync:
            lock.sync()
    except OSError as error:
        raise _refused(error) from error


def _refused(error: OSError) -> RefusedError:
    if isinstance(error, files.InUseError):
        return RefusedError(RefusalReason.IN_USE)
    return RefusedError(RefusalReason.SYSTEM, error.strerror or str(error))


def _temporary(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")


def _write_and_verify(handle: int, data: bytes, *, sync: bool) -> None:
    """Write the content of an open file, read it back, and close it."""
    with os.fdopen(handle, "r+b") as file:
        file.truncate(0)
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
        file.seek(0)
        if file.read() != data:
            raise RefusedError(RefusalReason.UNVERIFIED, "the disk returned other bytes")


def _copy_attributes(
    temporary: Path, path: Path, before: os.stat_result, *, keep_times: bool
) -> None:
    try:
        files.set_owner(temporary, before)
    except PermissionError:
        raise RefusedError(RefusalReason.OWNER) from None
    if not attributes.copy(path, temporary):
        raise RefusedError(RefusalReason.ATTRIBUTES)
    if not keep_times:
        os.utime(temporary)


def _expect_unchanged(path: Path, before: os.stat_result, expected: bytes) -> None:
    now = path.stat()
    known = (before.st_ino, before.st_size, before.st_mtime_ns, 1)
    if (now.st_ino, now.st_size, now.st_mtime_ns, now.st_nlink) != known:
        raise RefusedError(RefusalReason.CHANGED)
    if path.read_bytes() != expected:
        raise RefusedError(RefusalReason.CHANGED)
