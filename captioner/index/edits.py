"""Human-authored captions in the index: next to a model's, shown first, never overwritten."""

from __future__ import annotations

import sqlite3
import unicodedata
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from captioner.index import documents
from captioner.index.database import TIMEOUT, path_key
from captioner.index.display import JOIN_BEST_CAPTION
from captioner.system.paths import sqlite_uri


@dataclass(frozen=True, slots=True)
class CurrentCaption:
    """The caption that the index holds of a photo, human-authored or the model's best."""

    text: str
    """Empty if there is none."""
    by_person: bool


def current_caption(connection: sqlite3.Connection, photo: Path) -> CurrentCaption | None:
    """The caption of a photo; None if the index does not know the photo."""
    row = connection.execute(
        "SELECT coalesce(text, ''), source IS 'person' FROM photos "
        f"{JOIN_BEST_CAPTION} WHERE path = ?",
        [path_key(photo)],
    ).fetchone()
    return CurrentCaption(row[0], bool(row[1])) if row else None


def set_caption(path: Path, photo: Path, text: str) -> None:
    """Replace the human-authored caption of a photo; remove it if the text is empty.

    Without the writer's lock: nobody should have to wait until a run over 300,000 photos is done.
    SQLite's own locks suffice for one transaction that takes them at its beginning.
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
        documents.refresh(connection, *row)


def _one_line(text: str) -> str:
    # Neither terminal control characters nor lone surrogates belong in a caption.
    return "".join(
        character
        for character in " ".join(text.split())
        if unicodedata.category(character) not in {"Cc", "Cs"}
    )
