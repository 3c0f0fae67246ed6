"""The searched texts: what the full-text indexes hold of a photo, kept in step with the rest.

`texts` holds what is shown and what a model wrote; `person_texts` what people wrote, and the names
of files and folders, so that a person's words are weighed among a person's words.
"""

from __future__ import annotations

import json
import sqlite3

from captioner.index.folding import joined, keyword_parts, name_words

FORM = 2
"""Raised whenever other texts are to be indexed: the next writer then rebuilds them all."""


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the texts are in the form that this captioner searches."""
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(form == FORM)


def rebuild(connection: sqlite3.Connection) -> None:
    """Refresh the texts of all photos, in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for (photo,) in connection.execute("SELECT id FROM photos ORDER BY id").fetchall():
            refresh(connection, photo)
        connection.execute(f"PRAGMA user_version = {FORM}")


def refresh(connection: sqlite3.Connection, photo: int) -> None:
    """Write the texts of one photo, inside the caller's transaction."""
    path, described, caption, title, keywords, others = connection.execute(
        "SELECT path, status = 'described', caption, title, coalesce(keywords, '[]'), "
        "coalesce(others, '[]') FROM photos LEFT JOIN facts ON photo = id WHERE id = ?",
        [photo],
    ).fetchone()
    said = connection.execute(
        "SELECT source, text FROM captions WHERE photo = ? ORDER BY rank", [photo]
    ).fetchall()
    edited = [text for source, text in said if source == "person"]
    model = [text for source, text in said if source == "model"]
    tags, further = _texts(keywords), _texts(others)
    own = [*edited, *(text for text in (caption,) if text)]
    shown = own or model[:1]
    for table in ("texts", "person_texts", "person_keywords"):
        connection.execute(f"DELETE FROM {table} WHERE photo = ?", [photo])
    if not (described or own or model or title or tags):
        return
    words = [
        word
        for (word,) in connection.execute(
            "SELECT word FROM keywords WHERE photo = ? ORDER BY probability DESC, word", [photo]
        )
    ]
    titles = [title] if title else []
    connection.execute(
        "INSERT INTO texts (photo, caption, others, keywords) VALUES (?, ?, ?, ?)",
        [
            photo,
            joined([*shown, *titles, *further, *tags]),
            joined(model if own else model[1:]),
            " ".join(joined([word]) for word in words),
        ],
    )
    connection.execute(
        "INSERT INTO person_texts (photo, caption, title, keywords, name) VALUES (?, ?, ?, ?, ?)",
        [photo, joined([*own, *further]), joined(titles), joined(tags), name_words(path)],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO person_keywords (folded, photo) VALUES (?, ?)",
        [(part, photo) for tag in tags for part in keyword_parts(tag)],
    )


def _texts(listed: str) -> list[str]:
    return [text for text in json.loads(listed) if isinstance(text, str)]
