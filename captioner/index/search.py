"""Finding photos: by what the model saw in them, by their words, and by their likeness.

The model's ranking is turned into standard scores (how many standard deviations a photo lies above
the collection's mean), to which the words that a photo's texts share with the query add a bonus.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from captioner.errors import UsageError
from captioner.index.database import path_key
from captioner.types import FloatArray, HalfArray, Rank, SearchVectors

# To be tuned on queries with known answers.
TEXT_BONUS = 0.5
"""Standard deviations that the best match by text adds to what the model saw."""
TEXT_ALONE = 3.0
"""The same for a photo whose vectors are of another model, and which has nothing else to show."""
COLUMN_WEIGHTS = (1.0, 0.5, 0.5)
"""What a word counts in the caption shown, in the other captions, and among the keywords."""

_FUNCTION_WORDS = frozenset(
    "a an and are as at be by for from has in is it its of on or that the their there this to was"
    " were with".split()
)
_CAPTION_ONLY = (1.0, 0.0, 0.0)
_PRESENT = "NOT IN (SELECT id FROM photos WHERE missing_since IS NOT NULL)"
_PIECE = re.compile(r'"([^"]*)"?|([^\s"]+)')
_CURLY_QUOTES = str.maketrans("“”„", '"""')

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found."""

    path: str
    """Absolute. Where its name is no text, `os.fsencode` gives the bytes back."""
    caption: str
    """A person's where there is one, else the model's best."""
    score: float
    """0 to 1, larger is better; what it measures, the search says."""


class Query(NamedTuple):
    """A query cut into its pieces."""

    text: str
    """All of it, without the quotes."""
    words: list[str]
    phrases: list[str]
    """What stood in double quotes."""


def parse(query: str) -> Query:
    """Cut a query into words and quoted phrases; a quote that is left open ends with the query.

    Raises
    ------
    UsageError
        Where nothing is left but spaces and quotes.
    """
    # Neither half a character (an argument that is no text) nor a zero byte can reach SQLite.
    text = query.encode("utf-8", "ignore").decode().replace("\0", " ").translate(_CURLY_QUOTES)
    pieces = _PIECE.findall(text)
    phrases = [phrase for phrase, _ in pieces if phrase.strip()]
    words = [word for _, word in pieces if word]
    if not (words or phrases):
        raise UsageError(
            "the query is empty.", "Say what the photo shows: captioner search dog on a beach."
        )
    return Query(" ".join(text.replace('"', " ").split()), words, phrases)


def search(
    connection: sqlite3.Connection, query: str, rank: Rank | None, model_id: str | None, limit: int
) -> list[Hit]:
    """The photos that fit a query best by sight and by words."""
    asked = parse(query)
    seen, sight = _sight(connection, asked.text, rank, model_id)
    read, words = _match(connection, _any_word(asked.text), COLUMN_WEIGHTS)
    ids = np.union1d(seen, read)
    scores = np.zeros(len(ids), np.float32)
    weight = np.full(len(ids), TEXT_ALONE, np.float32)
    scores[np.searchsorted(ids, seen)] = sight
    weight[np.searchsorted(ids, seen)] = TEXT_BONUS
    at = np.searchsorted(ids, read)
    scores[at] += weight[at] * words
    if asked.phrases:
        kept = np.isin(ids, _match(connection, _in_caption(asked.phrases), _CAPTION_ONLY)[0])
        ids, scores = ids[kept], scores[kept]
    return _hits(connection, ids, _of_best(scores), limit)


def search_captions(connection: sqlite3.Connection, query: str, limit: int) -> list[Hit]:
    """The photos whose caption holds every word of a query, best first by BM25."""
    asked = parse(query)
    ids, scores = _match(connection, _in_caption(asked.words + asked.phrases), _CAPTION_ONLY)
    return _hits(connection, ids, scores, limit)


def similar(
    connection: sqlite3.Connection,
    joint: HalfArray,
    model_id: str,
    limit: int,
    but_not: Path | None,
) -> list[Hit]:
    """The photos nearest to a vector by cosine in the joint space."""
    rows = connection.execute(
        f"SELECT photo, joint FROM vectors WHERE model_id = ? AND photo {_PRESENT} "
        "AND photo IS NOT (SELECT id FROM photos WHERE path = ?) ORDER BY photo",
        [model_id, but_not and path_key(but_not)],
    ).fetchall()
    if not rows:
        return []
    ids, joints = zip(*rows, strict=True)
    cosines = _stack(joints).astype(np.float32) @ joint.astype(np.float32)
    return _hits(connection, np.array(ids, np.int64), cosines, limit)


def vectors_of(connection: sqlite3.Connection, path: Path, model_id: str) -> SearchVectors | None:
    """The vectors of one photo by one model."""
    row = connection.execute(
        "SELECT joint, words FROM vectors JOIN photos ON id = photo "
        "WHERE path = ? AND model_id = ?",
        [path_key(path), model_id],
    ).fetchone()
    return SearchVectors(*(_stack([blob])[0] for blob in row)) if row else None


def _sight(
    connection: sqlite3.Connection, text: str, rank: Rank | None, model_id: str | None
) -> tuple[Ids, FloatArray]:
    """Ids (N,) and standard scores (N,) of the photos the model ranks; none where it cannot."""
    nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    if not rank:
        return nothing
    rows = connection.execute(
        f"SELECT photo, joint, words FROM vectors WHERE model_id = ? AND photo {_PRESENT} "
        "ORDER BY photo",
        [model_id],
    ).fetchall()
    if not rows:
        return nothing
    ids, joints, words = zip(*rows, strict=True)
    scores = rank(text, SearchVectors(_stack(joints), _stack(words)))
    if not scores.any():  # it knows none of the words
        return nothing
    return np.array(ids, np.int64), (scores - scores.mean()) / (scores.std() or 1.0)


def _stack(blobs: Sequence[bytes]) -> HalfArray:
    return np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1)


def _quoted(words: str) -> str:
    """A phrase of FTS5, in which no character has a meaning of its own."""
    return f'"{words}"'


def _any_word(text: str) -> str:
    words = text.split()
    # Half of all captions hold "a" or "on", and say nothing by it.
    telling = [word for word in words if word.lower().strip(",.;:!?") not in _FUNCTION_WORDS]
    return " OR ".join(map(_quoted, telling or words))


def _in_caption(phrases: Sequence[str]) -> str:
    # Side by side rather than joined by AND, which no caption fulfils where one is a mere "&".
    return f"caption : ({' '.join(map(_quoted, phrases))})"


def _match(
    connection: sqlite3.Connection, expression: str, weights: tuple[float, float, float]
) -> tuple[Ids, FloatArray]:
    """Ids (N,) of the photos that match by text, and BM25 (N,) as a share of the best one's."""
    rows = connection.execute(
        "SELECT rowid, -bm25(texts_fts, ?, ?, ?) FROM texts_fts "
        f"WHERE texts_fts MATCH ? AND rowid {_PRESENT} ORDER BY rowid",
        [*weights, expression],
    ).fetchall()
    ids, scores = zip(*rows, strict=True) if rows else ((), ())
    return np.array(ids, np.int64), _of_best(np.array(scores, np.float32))


def _of_best(scores: FloatArray) -> FloatArray:
    """Scores as shares of the highest; all 0 where none is above 0."""
    best = scores.max(initial=0)
    return scores / best if best > 0 else np.zeros_like(scores)


def _hits(connection: sqlite3.Connection, ids: Ids, scores: FloatArray, limit: int) -> list[Hit]:
    """The best `limit` photos; equal ones in the order of their ids."""
    hits = []
    for at in np.lexsort((ids, -scores))[:limit]:
        row: tuple[Any, ...] = connection.execute(
            "SELECT path, caption FROM photos JOIN texts ON photo = id WHERE id = ?",
            [int(ids[at])],
        ).fetchone()
        hits.append(Hit(os.fsdecode(row[0]), row[1], float(np.clip(scores[at], 0, 1))))
    return hits
