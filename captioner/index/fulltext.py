"""Full-text matching (FTS5): which photos' documents hold the words of a query, and their BM25."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner.index.database import Ids, select_ids
from captioner.index.normalisation import fts_phrase
from captioner.index.query_parser import ParsedQuery
from captioner.types import FloatArray

MAX_RANKED = 10_000
"""Documents that are ranked by BM25 at most. Words in more of them are hardly selective,
and ranking them all would take longer than the rest of a search."""
ALL_COLUMNS = (1.0, 0.5, 0.5)
"""BM25 column weights of `texts`: the display caption, further captions, keywords."""
CAPTION_ONLY = (1.0, 0.0, 0.0)
HUMAN_COLUMNS = (1.0, 1.0, 1.0, 0.5)
"""BM25 column weights of `person_texts`: captions, titles, keywords, file and folder names."""
WRITTEN = "{caption title keywords} : "
"""FTS5 column filter: what people wrote, without the names of files and folders."""


@dataclass(frozen=True, slots=True)
class TextMatches:
    """Photos whose documents hold words of a query."""

    photos: Ids
    """(N,), ascending."""
    shares: FloatArray
    """(N,): BM25, as a share of the best one's."""
    whole: npt.NDArray[np.bool_]
    """(N,): whether the document holds all the selective words."""
    unknown: list[str]
    """Words of the query that no document holds."""


@dataclass(frozen=True, slots=True)
class HumanTextMatches:
    """Photos with words of a query in human-authored text, or in file and folder names."""

    photos: Ids
    """(N,), ascending."""
    shares: FloatArray
    """(N,): BM25, as a share of the best one's."""
    written: FloatArray
    """(N,): the part of the query that is in human-authored text, 0 to 1; rare words weigh more."""
    named: FloatArray
    """(N,): the same, file and folder names included."""
    unknown: list[str]
    """Words of the query that are nowhere in them."""


def match_any(connection: sqlite3.Connection, query: ParsedQuery) -> TextMatches:
    """Photos whose documents hold words of a query.

    The rarest words count, as many as are in `MAX_RANKED` documents at most. If even the rarest is
    in more, documents with all of the words match, one as well as another.
    """
    counts = {word: _count(connection, "texts_fts", fts_phrase(word)) for word in query.keywords()}
    by_frequency = sorted(
        (number, position, fts_phrase(word))
        for position, (word, number) in enumerate(counts.items())
        if number
    )
    phrases = [phrase for _, _, phrase in by_frequency]
    total = np.cumsum([number for number, _, _ in by_frequency], dtype=np.int64)
    rare = phrases[: int(np.searchsorted(total, MAX_RANKED, "right"))]
    photos, shares = _rank(
        connection, "texts_fts", " OR ".join(rare) or " AND ".join(phrases), ALL_COLUMNS
    )
    unknown = [word for word, number in counts.items() if not number]
    if unknown:
        whole = np.zeros(len(photos), np.bool_)
    elif len(rare) > 1:
        whole = np.isin(photos, _match(connection, "texts_fts", " AND ".join(rare)))
    else:
        whole = np.ones(len(photos), np.bool_)
    return TextMatches(photos, shares, whole, unknown)


def match_human_text(connection: sqlite3.Connection, query: ParsedQuery) -> HumanTextMatches:
    """Photos with words of a query in human-authored text, or in file and folder names."""
    words = query.keywords()
    counts = [_count(connection, "person_texts_fts", fts_phrase(word)) for word in words]
    unknown = [word for word, number in zip(words, counts, strict=True) if not number]
    nothing = np.empty(0, np.float32)
    if not any(counts):
        return HumanTextMatches(np.empty(0, np.int64), nothing, nothing, nothing, unknown)
    # The highest id, since counting rows means reading them all.
    (total,) = connection.execute("SELECT max(photo) FROM person_texts").fetchone()
    # A word in the names of most of a large library, such as a common folder, is not selective.
    common = max(MAX_RANKED, total // 2)
    weights = [0 if n > common else float(np.log1p(total / (n or 1))) for n in counts]
    weighted = [
        (weight, word)
        for weight, word, n in zip(weights, words, counts, strict=True)
        if weight and n
    ]
    photos, shares = _rank(
        connection,
        "person_texts_fts",
        " OR ".join(fts_phrase(word) for _, word in weighted),
        HUMAN_COLUMNS,
    )
    written, named = (np.zeros(len(photos), np.float32) for _ in range(2))
    for weight, word in weighted:
        for out, columns in ((written, WRITTEN), (named, "")):
            found = _match(connection, "person_texts_fts", columns + fts_phrase(word))
            out[np.isin(photos, found, assume_unique=True)] += weight / sum(weights)
    return HumanTextMatches(photos, shares, written, named, unknown)


def match_captions(
    connection: sqlite3.Connection, phrases: Sequence[str]
) -> tuple[Ids, FloatArray]:
    """Photos whose caption, or other human-authored text, holds all phrases.

    Returns
    -------
    Ids (N,), ascending, and BM25 as a share of the best one's (N,).
    """
    # Side by side rather than joined by AND, which no caption matches if one is a mere "&".
    expression = f"caption : ({' '.join(map(fts_phrase, phrases))})"
    return _rank(connection, "texts_fts", expression, CAPTION_ONLY)


def match_exclusion(connection: sqlite3.Connection, phrase: str) -> Ids:
    """Photos with a phrase in the display caption, keywords, human-authored text or names."""
    return np.union1d(
        _match(connection, "texts_fts", "{caption keywords} : " + fts_phrase(phrase)),
        _match(connection, "person_texts_fts", fts_phrase(phrase)),
    )


def is_indexed(connection: sqlite3.Connection, word: str) -> bool:
    """Whether some photo's document or name has a word, with any ending."""
    tables = ("texts_fts", "person_texts_fts")
    return any(_count(connection, table, fts_phrase(word)) for table in tables)


def matched_fields(
    connection: sqlite3.Connection, query: ParsedQuery, photos: Sequence[int]
) -> dict[int, list[str]]:
    """In which human-authored fields some photos hold a query's words: "caption", "name", …"""
    found: dict[int, list[str]] = {}
    expression = " OR ".join(map(fts_phrase, query.keywords()))
    if not photos or not _count(connection, "person_texts_fts", expression):
        return found
    columns = {"caption": "caption", "title": "title", "keywords": "keyword", "name": "name"}
    for column, field in columns.items():
        matching = _match(connection, "person_texts_fts", f"{column} : ({expression})")
        for photo in np.intersect1d(matching, photos).tolist():
            found.setdefault(photo, []).append(field)
    return found


def _rank(
    connection: sqlite3.Connection, table: str, expression: str, weights: Sequence[float]
) -> tuple[Ids, FloatArray]:
    """Matches, with BM25 as a share of the best one's; all 1 if more than `MAX_RANKED` match."""
    if not expression:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    if _count(connection, table, expression) > MAX_RANKED:
        found = _match(connection, table, expression)
        return found, np.ones(len(found), np.float32)
    rows = connection.execute(
        f"SELECT rowid, -bm25({table}, {', '.join(map(str, weights))}) FROM {table} "
        f"WHERE {table} MATCH ? ORDER BY rowid",
        [expression],
    ).fetchall()
    photos, scores = zip(*rows, strict=True) if rows else ((), ())
    return np.array(photos, np.int64), _share_of_best(np.array(scores, np.float32))


def _share_of_best(scores: FloatArray) -> FloatArray:
    """Scores as shares of the highest; all 0 if none is above 0."""
    best = scores.max(initial=0)
    return scores / best if best > 0 else np.zeros_like(scores)


def _match(connection: sqlite3.Connection, table: str, expression: str) -> Ids:
    return select_ids(connection, f"SELECT rowid FROM {table} WHERE {table} MATCH ?", [expression])


def _count(connection: sqlite3.Connection, table: str, expression: str) -> int:
    (number,) = connection.execute(
        f"SELECT count(*) FROM {table} WHERE {table} MATCH ?", [expression]
    ).fetchone()
    return int(number)
