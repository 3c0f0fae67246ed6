"""The SQLite file: one writer at a time, readers that never wait, errors in plain words."""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from captioner.errors import CaptionerError, DatabaseUnavailableError, UsageError
from captioner.index import migrations, mounts
from captioner.system import locks, paths

Ids = npt.NDArray[np.int64]
"""Of photos."""

TIMEOUT = 5.0
"""Seconds to wait for another program that locks the file, such as a backup."""

_ANOTHER = "Name another database with --db or CAPTIONER_DB."
_ELSEWHERE = (
    "Name a database in a writable folder with --db or CAPTIONER_DB, or set "
    "CAPTIONER_HOME to such a folder."
)
_FULL = (
    "cannot grow: the disk is full",
    "Free some space and run again; everything stored before is kept.",
)
_TRANSIENT = {
    "SQLITE_BUSY": ("is locked by another program", "Close that program, or try again later."),
    "SQLITE_LOCKED": ("is locked by another program", "Close that program, or try again later."),
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": (
        "cannot be read or written: its disk reports an error",
        "Check that the disk is connected and healthy, then run again.",
    ),
}
"""SQLite's error codes for problems that may pass without a change to the database."""
_PERMANENT = {
    "SQLITE_READONLY": (
        "cannot be written",
        f"Get write permission for the file and its folder. {_ELSEWHERE}",
    ),
    "SQLITE_NOTADB": ("is not a database", _ANOTHER),
    "SQLITE_CORRUPT": (
        "is damaged",
        "Restore a backup, or move the file away and index the photos again.",
    ),
    "SQLITE_CANTOPEN": (
        "cannot be opened",
        f"Check that it is a file that you can read. {_ANOTHER}",
    ),
    "SQLITE_PERM": ("cannot be opened", f"Check that it is a file that you can read. {_ANOTHER}"),
}
_MIN_FREE = 64 << 10
"""Bytes free below which a disk counts as full: SQLite's own files start at 32 KB."""


def path_key(path: Path | str) -> bytes:
    """The key of a photo: its absolute path as bytes, valid text or not.

    If several spellings mean the same file, the one in its folder's listing.
    """
    return paths.key(path)


def range_below(folder: bytes) -> tuple[bytes, bytes]:
    """The range of keys below a folder: the first one, and the first one after it."""
    start = os.path.join(folder, b"")  # noqa: PTH118 (bytes)
    return start, start[:-1] + bytes([start[-1] + 1])


def now() -> str:
    """The present time as the database stores it: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def explaining_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about the database at `path` into errors with a reason and a remedy.

    Raises
    ------
    DatabaseUnavailableError
        If it may work later.
    CaptionerError
        If it will not.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_IOERR") and _is_full(path.parent):
            name = "SQLITE_FULL"  # SQLite's error for the files next to the database
        for reasons, kind in ((_TRANSIENT, DatabaseUnavailableError), (_PERMANENT, CaptionerError)):
            for prefix, (reason, remedy) in reasons.items():
                if name.startswith(prefix):
                    raise kind(f"{path} {reason}.", remedy) from error
        raise


def _is_full(folder: Path) -> bool:
    import shutil

    try:
        return shutil.disk_usage(folder).free < _MIN_FREE
    except OSError:
        return False


def check_is_database(path: Path) -> None:
    """Check that a path can be a database, before anything is created in it or next to it.

    Raises
    ------
    CaptionerError
        If it is a folder, a device or a file of another kind.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # absent, or opening says why not
    _refuse_folder(path)
    if not stat.S_ISREG(mode):
        raise CaptionerError(f"{path} cannot be opened: it is not a file.", _ANOTHER)
    # By SQLite: opening and closing the file here would release the locks of its connections.
    try:
        with closing(sqlite3.connect(_read_only(path), uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            with explaining_errors(path):
                raise


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Be the only writer of the database at `path`.

    An operating system lock on a file next to the database, so that it ends with its process
    however that dies. (On the database itself it would interfere with SQLite's own locks.) The
    file's content only names the process that holds the lock.

    Raises
    ------
    DatabaseUnavailableError
        If another process holds it: which one, and since when.
    """
    if reason := paths.forbidden(path):
        raise UsageError(f"{path} {reason}", _ANOTHER)
    with ExitStack() as resources:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: on a full disk, closing would fail once more.
            name = path.with_name(path.name + ".lock")
            file = resources.enter_context(name.open("ab+", buffering=0))
            if not locks.try_lock(file.fileno()):
                raise DatabaseUnavailableError(
                    f"{path} is being written to by {_holder(file)}.",
                    "Wait until it has finished, or stop it. You can still search meanwhile.",
                )
            holder = f"process {os.getpid()} on {platform.node()}"
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            file.truncate(0)
            file.write(f"\n{holder} since {since}\n".encode())
        except OSError as error:
            raise CaptionerError(
                f"{path} cannot be written: {error.strerror}.", _ELSEWHERE
            ) from error
        yield


def _refuse_folder(path: Path) -> None:
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises where it may not look)
        raise UsageError(
            f"{path} is a folder, not a database.",
            f"Name the file in it, {path / 'captioner.db'}, with --db or CAPTIONER_DB.",
        )


def _holder(file: FileIO) -> str:
    # Windows locks the first byte against reading as well.
    file.seek(1)
    # Empty if the process has just taken the lock and has not yet written its name.
    return file.read().decode(errors="replace").strip() or "another process"


def open_writer(path: Path) -> sqlite3.Connection:
    """Open for writing, created if absent and migrated if old; call under `writer_lock`."""
    with explaining_errors(path):
        connection = sqlite3.connect(path, timeout=TIMEOUT)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            pending = migrations.pending(connection, path)
            # In WAL mode readers never wait. But it needs memory shared between processes, which
            # network drives do not provide.
            journal = "DELETE" if mounts.network_filesystem(path_key(path)) else "WAL"
            connection.execute(f"PRAGMA journal_mode = {journal}")
            if pending:
                migrations.apply(connection)
            # Fail now rather than with the first batch.
            connection.execute("DELETE FROM photos WHERE FALSE")
            connection.rollback()
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading, by one thread at a time.

    Raises
    ------
    UsageError
        If there is no index to read.
    CaptionerError
        If its schema is that of another version.
    """
    missing = UsageError(
        f"there is no index at {path}.", f"Create one with `captioner index FOLDER`. {_ANOTHER}"
    )
    _refuse_folder(path)
    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises where it may not look)
        raise missing
    with explaining_errors(path):
        connection = sqlite3.connect(
            _read_only(path), uri=True, timeout=TIMEOUT, check_same_thread=False
        )
        try:
            pending = migrations.pending(connection, path)
            if len(pending) == len(migrations.STEPS):
                raise missing
            if pending:
                raise CaptionerError(
                    f"{path} was made by an older version of captioner.",
                    "Upgrade it with `captioner index FOLDER`; nothing in it is lost.",
                )
        except BaseException:
            connection.close()
            raise
    return connection


def _read_only(path: Path) -> str:
    # Reading a database in WAL mode needs two small files next to it. If they neither exist nor
    # can be created, nobody is writing, and the database can be opened as immutable.
    immutable = (
        not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    )
    return paths.sqlite_uri(path, "mode=ro&immutable=1" if immutable else "mode=ro")


def select_ids(
    connection: sqlite3.Connection, statement: str, parameters: Sequence[object] = ()
) -> Ids:
    """The ids (N,) that a statement of one column selects, in its order."""
    # As one text, which takes a fifth of the time of as many rows.
    (joined,) = connection.execute(
        f"WITH chosen (id) AS ({statement}) SELECT group_concat(id) FROM chosen", parameters
    ).fetchone()
    return np.fromstring(joined, np.int64, sep=",") if joined else np.empty(0, np.int64)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A read transaction: several statements see the same state, whatever a writer does."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.rollback()
