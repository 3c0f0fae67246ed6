"""Suggestions for filters: the keywords and cameras that photos have."""

from __future__ import annotations

import sqlite3

from captioner.index.normalisation import normalise_keyword

# Loose index scans: one step per distinct value, however many photos have it.
_MODEL_WORDS = """
    WITH RECURSIVE known (word) AS (
        SELECT min(word COLLATE NOCASE) FROM keywords WHERE word >= ?1 COLLATE NOCASE
        UNION ALL
        SELECT (SELECT min(next.word COLLATE NOCASE) FROM keywords AS next
            WHERE next.word > known.word COLLATE NOCASE)
        FROM known WHERE word < ?2 COLLATE NOCASE
    )
    SELECT word FROM known WHERE word < ?2 COLLATE NOCASE LIMIT ?3
"""
_PERSON_WORDS = """
    WITH RECURSIVE known (word) AS (
        SELECT min(folded) FROM person_keywords WHERE folded >= ?1
        UNION ALL
        SELECT (SELECT min(next.folded) FROM person_keywords AS next
            WHERE next.folded > known.word)
        FROM known WHERE word < ?2
    )
    SELECT word FROM known WHERE word < ?2 LIMIT ?3
"""
_CAMERAS = """
    WITH RECURSIVE known (camera) AS (
        SELECT min(camera) FROM facts
        UNION ALL
        SELECT (SELECT min(next.camera) FROM facts AS next WHERE next.camera > known.camera)
        FROM known WHERE camera IS NOT NULL
    )
    SELECT camera FROM known WHERE camera IS NOT NULL
"""


def keywords(connection: sqlite3.Connection, start: str, limit: int) -> list[str]:
    """The first keywords in alphabetical order that begin with some letters, a person's first."""
    start = normalise_keyword(start)
    if not start:
        return []
    values = [start, start + "\U0010ffff", limit]
    found = [word for (word,) in connection.execute(_PERSON_WORDS, values)]
    found += [word for (word,) in connection.execute(_MODEL_WORDS, values)]
    return list(dict.fromkeys(found))[:limit]


def cameras(connection: sqlite3.Connection) -> list[str]:
    """The names of all cameras, in alphabetical order."""
    return [camera for (camera,) in connection.execute(_CAMERAS)]
