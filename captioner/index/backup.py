"""A copy of the database as it is at one moment, while another process may write to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from captioner.index import database

_PAGES = 4096
"""Copied at a time; between two of them an interrupt is heard."""


def backup(path: Path, target: Path) -> None:
    """Copy the database at `path` into a new file, by SQLite's own backup.

    Raises
    ------
    CaptionerError
        Where there is no index, or the target cannot be written. What there is of the target then
        is of no use.
    """
    with ExitStack() as resources:
        source = resources.enter_context(closing(database.reader(path)))
        (journal,) = source.execute("PRAGMA journal_mode").fetchone()
        # Without WAL, readers and a writer block each other. Who may not write beside the database
        # reads it as it lies, in which case there is no writer.
        if journal != "wal" and os.access(path.parent, os.W_OK):
            resources.enter_context(database.lock(path))
        resources.enter_context(database.snapshot(source))
        # A snapshot begins with its first read. Without one, every batch that another process
        # stores meanwhile would make the copy begin again.
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with database.explained(target), closing(sqlite3.connect(target)) as copy:
            source.backup(copy, pages=_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, and no more
