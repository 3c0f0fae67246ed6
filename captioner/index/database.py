"""The database file: one writer at a time, readers that never wait, errors in words."""

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
"""Seconds to wait for another program that holds the file, as a backup may."""

_ANOTHER = "Name another database with --db or CAPTIONER_DB."
_ELSEWHERE = (
    "Name a database in a folder that you may write with --db or CAPTIONER_DB, or set "
    "CAPTIONER_HOME to such a folder."
)
_FULL = (
    "cannot grow: the disk is full",
    "Make room and run again; all that was stored before is kept.",
)
_PASSING = {
    "SQLITE_BUSY": ("is held by another program", "Close that program, or try again later."),
    "SQLITE_LOCKED": ("is held by another program", "Close that program, or try again later."),
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": (
        "cannot be read or written: its disk reports an error",
        "See that the disk is connected and sound, and run again.",
    ),
}
"""What SQLite reports of troubles that may end without anything done to the database."""
_LASTING = {
    "SQLITE_READONLY": (
        "cannot be written",
        f"Give yourself the right to write the file and its folder. {_ELSEWHERE}",
    ),
    "SQLITE_NOTADB": ("is not a database", _ANOTHER),
    "SQLITE_CORRUPT": (
        "is damaged",
        "Put back a backup, or move the file away and index the photos again.",
    ),
    "SQLITE_CANTOPEN": ("cannot be opened", f"See that it is a file that you may read. {_ANOTHER}"),
    "SQLITE_PERM": ("cannot be opened", f"See that it is a file that you may read. {_ANOTHER}"),
}
_ROOM = 64 << 10
"""Free space below which a disk is full: the files beside a database begin with 32 KB."""


def path_key(path: Path | str) -> bytes:
    """What the database knows a photo by: its absolute path, byte for byte, whatever its name.

    Where several spellings mean the same file, the one that its folder lists.
    """
    return paths.key(path)


def inside(folder: bytes) -> tuple[bytes, bytes]:
    """The first key that may lie below a folder, and the first one that no longer can."""
    start = os.path.join(folder, b"")  # noqa: PTH118 (bytes)
    return start, start[:-1] + bytes([start[-1] + 1])


def now() -> str:
    """The time as the database keeps it: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite reports about the database into words for a person.

    Raises
    ------
    DatabaseUnavailableError
        Where it may work later.
    CaptionerError
        Where it will not.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_IOERR") and _is_full(path.parent):
            name = "SQLITE_FULL"  # of the files beside the database, SQLite says just that
        for reasons, kind in ((_PASSING, DatabaseUnavailableError), (_LASTING, CaptionerError)):
            for prefix, (reason, remedy) in reasons.items():
                if name.startswith(prefix):
                    raise kind(f"{path} {reason}.", remedy) from error
        raise


def _is_full(folder: Path) -> bool:
    import shutil

    try:
        return shutil.disk_usage(folder).free < _ROOM
    except OSError:
        return False


def check(path: Path) -> None:
    """See that what is there can be a database, before anything is made in it or beside it.

    Raises
    ------
    CaptionerError
        Where it is a folder, a device or a file of another kind.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # absent, or opening says why not
    _refuse_folder(path)
    if not stat.S_ISREG(mode):
        raise CaptionerError(f"{path} cannot be opened: it is not a file.", _ANOTHER)
    # By SQLite: opening and closing the file here would end the locks of connections to it.
    try:
        with closing(sqlite3.connect(_read_only(path), uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            with explained(path):
                raise


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Be the only writer of the database at `path`.

    The lock is the system's, on a file beside the database, so that it ends with its process
    however that dies. (On the database itself it would get in the way of SQLite's own locks.) The
    file's content only names the holder to those who are turned away.

    Raises
    ------
    DatabaseUnavailableError
        Where another process holds it: which one, and since when.
    """
    if reason := paths.forbidden(path):
        raise UsageError(f"{path} {reason}", _ANOTHER)
    with ExitStack() as resources:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: on a full disk, closing would fail once more.
            name = path.with_name(path.name + ".lock")
            file = resources.enter_context(name.open("ab+", buffering=0))
            if not locks.lock(file.fileno()):
                raise DatabaseUnavailableError(
                    f"{path} is being written by {_holder(file)}.",
                    "Wait until it has finished, or end it. Searching works meanwhile.",
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
    # Empty if the holder has just taken the lock and has not yet written its name.
    return file.read().decode(errors="replace").strip() or "another process"


def writer(path: Path) -> sqlite3.Connection:
    """Open for writing, made where there is none and brought up to date; call under `lock`."""
    with explained(path):
        connection = sqlite3.connect(path, timeout=TIMEOUT)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            pending = migrations.pending(connection, path)
            # Readers never wait where changes go to a file of their own first. But that takes
            # memory shared among processes, which a network drive cannot give.
            journal = "DELETE" if mounts.network(path_key(path)) else "WAL"
            connection.execute(f"PRAGMA journal_mode = {journal}")
            if pending:
                migrations.apply(connection)
            # Better to be turned away now than with the first batch in hand.
            connection.execute("DELETE FROM photos WHERE FALSE")
            connection.rollback()
        except BaseException:
            connection.close()
            raise
    return connection


def reader(path: Path) -> sqlite3.Connection:
    """Open for reading, by one thread at a time.

    Raises
    ------
    UsageError
        Where there is no index to read.
    CaptionerError
        Where its schema is another than this captioner's.
    """
    missing = UsageError(
        f"there is no index at {path}.", f"Make one with `captioner index FOLDER`. {_ANOTHER}"
    )
    _refuse_folder(path)
    if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises where it may not look)
        raise missing
    with explained(path):
        connection = sqlite3.connect(
            _read_only(path), uri=True, timeout=TIMEOUT, check_same_thread=False
        )
        try:
            pending = migrations.pending(connection, path)
            if len(pending) == len(migrations.STEPS):
                raise missing
            if pending:
                raise CaptionerError(
                    f"{path} was made by an older captioner.",
                    "Bring it up to date with `captioner index FOLDER`; nothing in it is lost.",
                )
        except BaseException:
            connection.close()
            raise
    return connection


def _read_only(path: Path) -> str:
    # Reading a database in WAL mode needs two small files beside it. Where neither they nor the
    # right to make them are there, nobody is writing, and it can be read as it lies.
    as_it_lies = (
        not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    )
    return paths.sqlite_uri(path, "mode=ro&immutable=1" if as_it_lies else "mode=ro")


def ids(connection: sqlite3.Connection, statement: str, parameters: Sequence[object] = ()) -> Ids:
    """The ids (N,) that a statement of one column selects, in its order."""
    # As one text, which takes a fifth of the time that as many rows do.
    (joined,) = connection.execute(
        f"WITH chosen (id) AS ({statement}) SELECT group_concat(id) FROM chosen", parameters
    ).fetchone()
    return np.fromstring(joined, np.int64, sep=",") if joined else np.empty(0, np.int64)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Let several statements see the database as it is now, whatever a writer does between them."""
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.rollback()
