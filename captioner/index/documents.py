"""Full-text documents: what the FTS5 indexes hold of each photo, updated together with the rest.

`texts` holds the display caption and what a model wrote; `person_texts` holds human-authored text
and the names of files and folders, so that BM25 ranks human-authored text among its own kind.
"""

from __future__ import annotations

import json
import sqlite3

from captioner.index.display import model_keywords
from captioner.index.normalisation import join_texts, keyword_paths, path_words

VERSION = 2
"""Of the documents' form. The first writer with a higher one rebuilds them all."""


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the documents are in the form that this version searches."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version == VERSION)


def rebuild(connection: sqlite3.Connection) -> None:
    """Refresh the documents of all photos, in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for (photo,) in connection.execute("SELECT id FROM photos ORDER BY id").fetchall():
            refresh(connection, photo)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def refresh(connection: sqlite3.Connection, photo: int) -> None:
    """Write the documents of one photo, inside the caller's transaction."""
    path, described, caption, title, keywords, others = connection.execute(
        "SELECT path, status = 'described', caption, title, coalesce(keywords, '[]'), "
        "coalesce(others, '[]') FROM photos LEFT JOIN facts ON photo = id WHERE id = ?",
        [photo],
    ).fetchone()
    captions = connection.execute(
        "SELECT source, text FROM captions WHERE photo = ? ORDER BY rank", [photo]
    ).fetchall()
    edited = [text for source, text in captions if source == "person"]
    by_model = [text for source, text in captions if source == "model"]
    edited_tags = connection.execute(
        "SELECT word FROM keyword_edits WHERE photo = ? AND NOT rejected ORDER BY id", [photo]
    )
    tags, further = [*_texts(keywords), *(word for (word,) in edited_tags)], _texts(others)
    by_human = [*edited, *(text for text in (caption,) if text)]
    displayed = by_human or by_model[:1]
    for table in ("texts", "person_texts", "person_keywords"):
        connection.execute(f"DELETE FROM {table} WHERE photo = ?", [photo])
    if not (described or by_human or by_model or title or tags):
        return
    titles = [title] if title else []
    connection.execute(
        "INSERT INTO texts (photo, caption, others, keywords) VALUES (?, ?, ?, ?)",
        [
            photo,
            join_texts([*displayed, *titles, *further, *tags]),
            join_texts(by_model if by_human else by_model[1:]),
            " ".join(
                join_texts([keyword.word]) for keyword in model_keywords(connection, [photo])[photo]
            ),
        ],
    )
    connection.execute(
        "INSERT INTO person_texts (photo, caption, title, keywords, name) VALUES (?, ?, ?, ?, ?)",
        [
            photo,
            join_texts([*by_human, *further]),
            join_texts(titles),
            join_texts(tags),
            path_words(path),
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO person_keywords (folded, photo) VALUES (?, ?)",
        [(keyword, photo) for tag in tags for keyword in keyword_paths(tag)],
    )


def _texts(json_list: str) -> list[str]:
    return [text for text in json.loads(json_list) if isinstance(text, str)]
