"""Backup: a consistent copy of the database, even while another process writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from captioner.index import database

_PAGES = 4096
"""Copied at a time; an interrupt takes effect between two of them."""


def backup(path: Path, target: Path) -> None:
    """Copy the database at `path` into a new file, by SQLite's own backup.

    Raises
    ------
    CaptionerError
        If there is no index, or the target cannot be written. An incomplete target is then left.
    """
    with ExitStack() as resources:
        source = resources.enter_context(closing(database.open_reader(path)))
        (journal,) = source.execute("PRAGMA journal_mode").fetchone()
        # Without WAL, readers and a writer block each other. In a folder without write permission
        # there is no writer, and the database is opened as immutable.
        if journal != "wal" and os.access(path.parent, os.W_OK):
            resources.enter_context(database.writer_lock(path))
        resources.enter_context(database.snapshot(source))
        # A snapshot begins with its first read. Without one, every batch that another process
        # stores meanwhile would restart the copy.
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with database.explaining_errors(target), closing(sqlite3.connect(target)) as copy:
            source.backup(copy, pages=_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL next to it
