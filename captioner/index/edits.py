"""A person's words about a photo: kept beside a model's, shown before them, never overwritten."""

from __future__ import annotations

import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from captioner.index import texts
from captioner.index.database import TIMEOUT, path_key
from captioner.index.shown import IN_ORDER
from captioner.system.paths import sqlite_uri


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a photo that the index knows."""

    text: str
    """The caption that is shown; empty where there is none."""
    by_person: bool


def said(connection: sqlite3.Connection, photo: Path) -> Said | None:
    """What is shown of a photo; None where it is unknown."""
    row = connection.execute(
        "SELECT coalesce(text, ''), source IS 'person' FROM photos "
        "LEFT JOIN captions ON captions.photo = photos.id "
        f"WHERE path = ? ORDER BY {IN_ORDER} LIMIT 1",
        [path_key(photo)],
    ).fetchone()
    return Said(row[0], bool(row[1])) if row else None


def edit(path: Path, photo: Path, text: str) -> None:
    """Put a person's words in place of earlier ones; where there are none, only take those away.

    Without the writer's lock: a person must not have to wait until a run over 300,000 photos is
    done. SQLite's own locks suffice for one transaction that takes them at its beginning.
    """
    text = _one_line(text)
    address = sqlite_uri(path, "mode=rw")
    with closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(
            "SELECT id FROM photos WHERE path = ?", [path_key(photo)]
        ).fetchone()
        if not row:
            return
        connection.execute("DELETE FROM captions WHERE photo = ? AND source = 'person'", row)
        if text:
            connection.execute(
                "INSERT INTO captions (photo, source, rank, text) VALUES (?, 'person', 0, ?)",
                [*row, text],
            )
        texts.refresh(connection, *row)


def _one_line(text: str) -> str:
    # Neither what steers terminals nor half a character belongs in a caption.
    return "".join(
        character
        for character in " ".join(text.split())
        if unicodedata.category(character) not in {"Cc", "Cs"}
    )
