"""One file in the place of another, so that at every moment either of them is wholly there.

The new bytes go to a temporary file beside the old one, are read back, take on its owner, rights
and attributes, and then its name, which the system does in one step.
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
from captioner.metadata.refusal import Reason, Refused
from captioner.system import attributes, files, locks
from captioner.system.paths import verbatim

_PREFIX, _SUFFIX = ".captioner-", ".tmp"


class Folders:
    """The folder that is being written in, held against other captioners. A context manager.

    One at a time: the photos of a folder follow each other. What a run that was killed has left
    there is thrown away on entering.
    """

    def __init__(self) -> None:
        self._held: tuple[Path, locks.FolderLock] | None = None

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def enter(self, folder: Path) -> None:
        """Hold a folder, and let go of the one before.

        Raises
        ------
        Refused
            Where another captioner holds it, or it cannot be entered.
        """
        if self._held and self._held[0] == folder:
            return
        self._leave()
        try:
            held = locks.FolderLock(folder)
        except OSError as error:
            # On Windows that may be the folder with the lock.
            other = error.filename if error.filename not in (folder, str(folder)) else None
            detail = ": ".join(filter(None, (other and os.fspath(other), error.strerror)))
            raise Refused(Reason.FOLDER, detail) from error
        except CaptionerError as error:  # No place for locks.
            raise Refused(Reason.FOLDER, error.reason) from error
        self._held = (folder, held)
        try:
            if not held.lock():
                self._leave()
                raise Refused(Reason.BUSY)
        except OSError:
            return  # A file system without locks: whose the temporary files are is not known.
        with os.scandir(verbatim(folder)) as entries:
            stale = [
                e.path for e in entries if e.name.startswith(_PREFIX) and e.name.endswith(_SUFFIX)
            ]
        for path in stale:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108

    def sync(self) -> None:
        """Let the folder's names reach the disk."""
        if self._held:
            self._held[1].sync()

    def _leave(self) -> None:
        if self._held:
            self._held[1].close()
            self._held = None


def digest(data: bytes) -> bytes:
    """SHA-256, by which a file is known again."""
    return hashlib.sha256(data).digest()


def replaceable(path: Path) -> Path:
    """The file behind a name, once it is clear that it can be replaced without loss.

    Raises
    ------
    Refused
        Where it cannot.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        found = real.stat()
    except OSError as error:
        raise Refused(Reason.SYSTEM, error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise Refused(Reason.NOT_REGULAR)
    if found.st_nlink != 1:
        raise Refused(Reason.HARD_LINKED)
    if not found.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise Refused(Reason.READ_ONLY)
    if not files.can_set_owner(found):
        raise Refused(Reason.OWNER)
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise Refused(Reason.FOLDER)
    return real


def replace(
    path: Path,
    data: bytes,
    expected: bytes,
    *,
    folders: Folders,
    record: Callable[[], None],
    sync: bool = True,
    keep_times: bool = False,
) -> None:
    """Put `data` in the place of a file's content.

    Parameters
    ----------
    path
        As `replaceable` returns it.
    expected
        The content that is to be replaced.
    record
        Called when all is ready; from then on the file may be the new one.
    sync
        Wait for the disk, so that neither a power cut can lose the file.
    keep_times
        Keep the time of modification, by which other programs notice that something is new.

    Raises
    ------
    Refused
        Where the file is another than expected, or something of it cannot be kept. It is as it
        was before.
    """
    folders.enter(path.parent)
    path = verbatim(path)
    try:
        before = path.stat()
        temporary = _temporary(path)
        handle = files.create_like(temporary, path)
        try:
            _fill(handle, data, sync=sync)
            _take_on(temporary, path, before, keep_times=keep_times)
            _expect_unchanged(path, before, expected)
            record()
            files.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if sync:
            folders.sync()
    except OSError as error:
        raise _refused(error) from error


def create(
    path: Path,
    data: bytes,
    *,
    like: Path,
    folders: Folders,
    record: Callable[[], None],
    sync: bool = True,
) -> None:
    """Make a file that is not there yet, which no more people may read than the one it is like.

    Raises
    ------
    Refused
        Where the folder cannot be written, or the file has appeared meanwhile.
    """
    folders.enter(path.parent)
    path = verbatim(path)
    try:
        mode = like.stat().st_mode & 0o666 | 0o200
        temporary = _temporary(path)
        handle = files.create(temporary, mode)
        try:
            _fill(handle, data, sync=sync)
            record()
            files.rename_new(temporary, path)
        except FileExistsError:
            raise Refused(Reason.CHANGED) from None
        finally:
            with suppress(OSError):
                temporary.unlink()
        if sync:
            folders.sync()
    except files.InUseError as error:
        raise _refused(error) from error
    except PermissionError as error:
        raise Refused(Reason.FOLDER) from error
    except OSError as error:
        raise Refused(Reason.SYSTEM, error.strerror or str(error)) from error


def remove(path: Path, expected: bytes, *, folders: Folders, sync: bool = True) -> None:
    """Delete a file whose content is the one expected.

    Raises
    ------
    Refused
        Where it is another.
    """
    folders.enter(path.parent)
    path = verbatim(path)
    try:
        _expect_unchanged(path, path.stat(), expected)
        files.remove(path)
        if sync:
            folders.sync()
    except OSError as error:
        raise _refused(error) from error


def _refused(error: OSError) -> Refused:
    if isinstance(error, files.InUseError):
        return Refused(Reason.IN_USE)
    return Refused(Reason.SYSTEM, error.strerror or str(error))


def _temporary(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")


def _fill(handle: int, data: bytes, *, sync: bool) -> None:
    """Make these bytes the content of an open file, and close it."""
    with os.fdopen(handle, "r+b") as file:
        file.truncate(0)
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
        file.seek(0)
        if file.read() != data:
            raise Refused(Reason.UNVERIFIED, "the disk gives back something else")


def _take_on(temporary: Path, path: Path, before: os.stat_result, *, keep_times: bool) -> None:
    try:
        files.set_owner(temporary, before)
    except PermissionError:
        raise Refused(Reason.OWNER) from None
    if not attributes.copy(path, temporary):
        raise Refused(Reason.ATTRIBUTES)
    if not keep_times:
        os.utime(temporary)


def _expect_unchanged(path: Path, before: os.stat_result, expected: bytes) -> None:
    now = path.stat()
    known = (before.st_ino, before.st_size, before.st_mtime_ns, 1)
    if (now.st_ino, now.st_size, now.st_mtime_ns, now.st_nlink) != known:
        raise Refused(Reason.CHANGED)
    if path.read_bytes() != expected:
        raise Refused(Reason.CHANGED)
