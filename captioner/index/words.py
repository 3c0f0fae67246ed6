"""The words of photos: which texts hold those of a query, and how well they fit it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner.index.database import Ids, ids
from captioner.index.folding import quoted
from captioner.index.query import Query
from captioner.types import FloatArray

MOST = 10_000
"""Texts that BM25 tells apart. What more texts than these hold says little of any of them, and
weighing them all would take longer than the rest of a search."""
ALL_COLUMNS = (1.0, 0.5, 0.5)
"""What a word counts in the caption shown, in the other captions, and among the keywords."""
CAPTION_ONLY = (1.0, 0.0, 0.0)
PERSON_COLUMNS = (1.0, 1.0, 1.0, 0.5)
"""The same in a person's captions, titles and keywords, and in names."""
WRITTEN = "{caption title keywords} : "
"""What a person wrote, without the names of files and folders."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Photos whose texts hold words of a query."""

    photos: Ids
    """(N,), ascending."""
    shares: FloatArray
    """(N,): BM25, as a share of the best one's."""
    whole: npt.NDArray[np.bool_]
    """(N,): whether a text holds all the words that tell texts apart."""
    unknown: list[str]
    """Words that no text holds."""


@dataclass(frozen=True, slots=True)
class Own:
    """Photos for which a person used words of a query, or which have them in their names."""

    photos: Ids
    """(N,), ascending."""
    shares: FloatArray
    """(N,): BM25, as a share of the best one's."""
    written: FloatArray
    """(N,): which part of the query is in what a person wrote; rare words count more. 0 to 1."""
    named: FloatArray
    """(N,): the same with the names of files and folders."""
    unknown: list[str]
    """Words that nobody used."""


def with_any(connection: sqlite3.Connection, asked: Query) -> Texts:
    """Photos whose texts hold words of a query.

    The rarest words count, as many as are in `MOST` texts at most. Where even the rarest is in
    more, texts with all of the words fit, one as well as the other.
    """
    counts = {word: _count(connection, "texts_fts", quoted(word)) for word in asked.telling()}
    counted = sorted(
        (number, place, quoted(word))
        for place, (word, number) in enumerate(counts.items())
        if number
    )
    words = [word for _, _, word in counted]
    total = np.cumsum([number for number, _, _ in counted], dtype=np.int64)
    rare = words[: int(np.searchsorted(total, MOST, "right"))]
    photos, shares = _fit(
        connection, "texts_fts", " OR ".join(rare) or " AND ".join(words), ALL_COLUMNS
    )
    unknown = [word for word, number in counts.items() if not number]
    if unknown:
        whole = np.zeros(len(photos), np.bool_)
    elif len(rare) > 1:
        whole = np.isin(photos, _matching(connection, "texts_fts", " AND ".join(rare)))
    else:
        whole = np.ones(len(photos), np.bool_)
    return Texts(photos, shares, whole, unknown)


def by_person(connection: sqlite3.Connection, asked: Query) -> Own:
    """Photos for which a person used words of a query, or which have them in their names."""
    words = asked.telling()
    counts = [_count(connection, "person_texts_fts", quoted(word)) for word in words]
    unknown = [word for word, number in zip(words, counts, strict=True) if not number]
    nothing = np.empty(0, np.float32)
    if not any(counts):
        return Own(np.empty(0, np.int64), nothing, nothing, nothing, unknown)
    # The highest id, since to count rows is to read them all.
    (total,) = connection.execute("SELECT max(photo) FROM person_texts").fetchone()
    # What is in the names of most of a large library, as a common folder is, tells nothing apart.
    common = max(MOST, total // 2)
    weights = [0 if n > common else float(np.log1p(total / (n or 1))) for n in counts]
    held = [
        (weight, word)
        for weight, word, n in zip(weights, words, counts, strict=True)
        if weight and n
    ]
    photos, shares = _fit(
        connection,
        "person_texts_fts",
        " OR ".join(quoted(word) for _, word in held),
        PERSON_COLUMNS,
    )
    written, named = (np.zeros(len(photos), np.float32) for _ in range(2))
    for weight, word in held:
        for out, columns in ((written, WRITTEN), (named, "")):
            found = _matching(connection, "person_texts_fts", columns + quoted(word))
            out[np.isin(photos, found, assume_unique=True)] += weight / sum(weights)
    return Own(photos, shares, written, named, unknown)


def in_captions(connection: sqlite3.Connection, phrases: Sequence[str]) -> tuple[Ids, FloatArray]:
    """Photos whose caption, or what a person wrote, holds all phrases: ids (N,), ascending.

    With them, how well they fit (N,).
    """
    # Side by side rather than joined by AND, which no caption fulfils where one is a mere "&".
    expression = f"caption : ({' '.join(map(quoted, phrases))})"
    return _fit(connection, "texts_fts", expression, CAPTION_ONLY)


def with_excluded(connection: sqlite3.Connection, phrase: str) -> Ids:
    """Photos with a phrase in the caption shown, in keywords, in a person's words or in names."""
    return np.union1d(
        _matching(connection, "texts_fts", "{caption keywords} : " + quoted(phrase)),
        _matching(connection, "person_texts_fts", quoted(phrase)),
    )


def holds(connection: sqlite3.Connection, word: str) -> bool:
    """Whether some photo's texts have a word, with whatever ending, or a name has it."""
    tables = ("texts_fts", "person_texts_fts")
    return any(_count(connection, table, quoted(word)) for table in tables)


def used_by_person(
    connection: sqlite3.Connection, asked: Query, photos: Sequence[int]
) -> dict[int, list[str]]:
    """For some photos, where in a person's words those of a query are: "caption", "name", …"""
    found: dict[int, list[str]] = {}
    expression = " OR ".join(map(quoted, asked.telling()))
    if not photos or not _count(connection, "person_texts_fts", expression):
        return found
    columns = {"caption": "caption", "title": "title", "keywords": "keyword", "name": "name"}
    for column, what in columns.items():
        matching = _matching(connection, "person_texts_fts", f"{column} : ({expression})")
        for photo in np.intersect1d(matching, photos).tolist():
            found.setdefault(photo, []).append(what)
    return found


def _fit(
    connection: sqlite3.Connection, table: str, expression: str, weights: Sequence[float]
) -> tuple[Ids, FloatArray]:
    """What matches, with its BM25 as a share of the best one's; all 1 where `MOST` or more do."""
    if not expression:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    if _count(connection, table, expression) > MOST:
        found = _matching(connection, table, expression)
        return found, np.ones(len(found), np.float32)
    rows = connection.execute(
        f"SELECT rowid, -bm25({table}, {', '.join(map(str, weights))}) FROM {table} "
        f"WHERE {table} MATCH ? ORDER BY rowid",
        [expression],
    ).fetchall()
    photos, scores = zip(*rows, strict=True) if rows else ((), ())
    return np.array(photos, np.int64), of_best(np.array(scores, np.float32))


def of_best(scores: FloatArray) -> FloatArray:
    """Scores as shares of the highest; all 0 where none is above 0."""
    best = scores.max(initial=0)
    return scores / best if best > 0 else np.zeros_like(scores)


def _matching(connection: sqlite3.Connection, table: str, expression: str) -> Ids:
    return ids(connection, f"SELECT rowid FROM {table} WHERE {table} MATCH ?", [expression])


def _count(connection: sqlite3.Connection, table: str, expression: str) -> int:
    (number,) = connection.execute(
        f"SELECT count(*) FROM {table} WHERE {table} MATCH ?", [expression]
    ).fetchone()
    return int(number)
