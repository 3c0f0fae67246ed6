"""The words of photos: which texts hold those of a query, and how well they fit it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from captioner.index.database import Ids, ids
from captioner.index.query import Query
from captioner.types import FloatArray

MOST = 10_000
"""Texts that BM25 tells apart. What more texts than these hold says little of any of them, and
weighing them all would take longer than the rest of a search."""
ALL_COLUMNS = (1.0, 0.5, 0.5)
"""What a word counts in the caption shown, in the other captions, and among the keywords."""
CAPTION_ONLY = (1.0, 0.0, 0.0)


def with_any(connection: sqlite3.Connection, asked: Query) -> tuple[Ids, FloatArray]:
    """Photos whose texts hold words of a query: ids (N,), ascending, and how well they fit (N,).

    The rarest words count, as many as are in `MOST` texts at most. Where even the rarest is in
    more, texts with all of the words fit, one as well as the other.
    """
    counted = sorted(
        (number, place, _quoted(word))
        for place, word in enumerate(asked.telling())
        if (number := _count(connection, _quoted(word)))
    )
    words = [word for _, _, word in counted]
    total = np.cumsum([number for number, _, _ in counted], dtype=np.int64)
    rare = words[: int(np.searchsorted(total, MOST, "right"))]
    return _fit(connection, " OR ".join(rare) or " AND ".join(words), ALL_COLUMNS)


def in_captions(connection: sqlite3.Connection, phrases: Sequence[str]) -> tuple[Ids, FloatArray]:
    """Photos whose caption holds all phrases: ids (N,), ascending, and how well they fit (N,)."""
    # Side by side rather than joined by AND, which no caption fulfils where one is a mere "&".
    return _fit(connection, f"caption : ({' '.join(map(_quoted, phrases))})", CAPTION_ONLY)


def holds(connection: sqlite3.Connection, word: str) -> bool:
    """Whether some photo's texts have a word, with whatever ending."""
    return _count(connection, _quoted(word)) > 0


def _fit(
    connection: sqlite3.Connection, expression: str, weights: tuple[float, float, float]
) -> tuple[Ids, FloatArray]:
    """What matches, with its BM25 as a share of the best one's; all 1 where `MOST` or more do."""
    if not expression:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    if _count(connection, expression) > MOST:
        found = ids(connection, "SELECT rowid FROM texts_fts WHERE texts_fts MATCH ?", [expression])
        return found, np.ones(len(found), np.float32)
    rows = connection.execute(
        "SELECT rowid, -bm25(texts_fts, ?, ?, ?) FROM texts_fts WHERE texts_fts MATCH ? "
        "ORDER BY rowid",
        [*weights, expression],
    ).fetchall()
    photos, scores = zip(*rows, strict=True) if rows else ((), ())
    return np.array(photos, np.int64), of_best(np.array(scores, np.float32))


def of_best(scores: FloatArray) -> FloatArray:
    """Scores as shares of the highest; all 0 where none is above 0."""
    best = scores.max(initial=0)
    return scores / best if best > 0 else np.zeros_like(scores)


def _count(connection: sqlite3.Connection, expression: str) -> int:
    (number,) = connection.execute(
        "SELECT count(*) FROM texts_fts WHERE texts_fts MATCH ?", [expression]
    ).fetchone()
    return int(number)


def _quoted(words: str) -> str:
    """A phrase of FTS5, in which no character has a meaning of its own."""
    return f'"{words}"'
