"""Human-authored captions and keywords in the index: next to a model's, and never overwritten."""

from __future__ import annotations

import os
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from captioner.index import documents
from captioner.index.database import TIMEOUT, path_key
from captioner.index.display import JOIN_BEST_CAPTION
from captioner.system.paths import sqlite_uri
from captioner.types import Photo


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


@dataclass(frozen=True, slots=True)
class Correction:
    """A photo with captions by a person in the index."""

    photo: Photo
    """As it was when it was indexed."""
    content_hash: bytes
    captions: tuple[str, ...]


def corrections(connection: sqlite3.Connection) -> list[Correction]:
    """The photos with captions by a person, by path; missing ones and failures are left out."""
    rows = connection.execute(
        "SELECT path, size, mtime_ns, content_hash, text FROM captions "
        "JOIN photos ON photos.id = captions.photo WHERE source = 'person' "
        "AND content_hash IS NOT NULL AND missing_since IS NULL ORDER BY path, rank"
    )
    return [
        Correction(
            Photo(os.fsdecode(path), size, mtime_ns), content_hash, tuple(row[-1] for row in some)
        )
        for (path, size, mtime_ns, content_hash), some in groupby(rows, key=lambda row: row[:4])
    ]


def set_caption(path: Path, photo: Path, text: str) -> None:
    """Replace the human-authored caption of a photo; remove it if the text is empty."""
    text = _one_line(text)
    with _editing(path, photo) as (connection, number):
        if number is None:
            return
        connection.execute("DELETE FROM captions WHERE photo = ? AND source = 'person'", [number])
        if text:
            connection.execute(
                "INSERT INTO captions (photo, source, rank, text) VALUES (?, 'person', 0, ?)",
                [number, text],
            )


def edit_keywords(path: Path, photo: Path, add: Iterable[str], remove: Iterable[str]) -> None:
    """Add keywords to a photo and remove others; see `Index.edit_keywords`."""
    with _editing(path, photo) as (connection, number):
        if number is None:
            return
        for word in filter(None, map(_keyword, add)):
            connection.execute(
                "INSERT INTO keyword_edits (photo, word, rejected) VALUES (?, ?, 0) "
                "ON CONFLICT DO UPDATE SET word = excluded.word, rejected = 0",
                [number, word],
            )
        for word in filter(None, map(_keyword, remove)):
            connection.execute(
                "DELETE FROM keyword_edits WHERE photo = ? AND word = ?", [number, word]
            )
            connection.execute(
                "INSERT INTO keyword_edits (photo, word, rejected) "
                "SELECT photo, word, 1 FROM keywords "
                "WHERE photo = ? AND word = ? COLLATE NOCASE LIMIT 1",
                [number, word],
            )


@contextmanager
def _editing(path: Path, photo: Path) -> Iterator[tuple[sqlite3.Connection, int | None]]:
    """A transaction of one photo's edits, and the photo's id; None if the index has no such photo.

    Without the writer's lock: nobody should have to wait until a run over 300,000 photos is done.
    SQLite's own locks suffice for one transaction that takes them at its beginning.
    """
    address = sqlite_uri(path, "mode=rw")
    with closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(
            "SELECT id FROM photos WHERE path = ?", [path_key(photo)]
        ).fetchone()
        number = int(row[0]) if row else None
        yield connection, number
        if number is not None:
            documents.refresh(connection, number)


def _keyword(word: str) -> str:
    return unicodedata.normalize("NFC", _one_line(word))


def _one_line(text: str) -> str:
    # Neither terminal control characters nor lone surrogates belong in a caption.
    return "".join(
        character
        for character in " ".join(text.split())
        if unicodedata.category(character) not in {"Cc", "Cs"}
    )
