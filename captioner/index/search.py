"""Finding photos: by what the model saw in them, by their words, and by their likeness.

The model's ranking is turned into standard scores (how many standard deviations a photo lies above
the collection's mean), to which the words that a photo's texts share with the query add a bonus.
All photos are looked at in their sketches, and the best of them once more in their exact vectors.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from captioner.index import words
from captioner.index.database import Ids, ids, path_key
from captioner.index.filters import Filters, newest_first
from captioner.index.query import parse
from captioner.index.sketches import Sketches, exact
from captioner.index.store import words_of
from captioner.types import FloatArray, HalfArray, Look, Rank, SearchVectors, in_place

# To be tuned on queries with known answers.
TEXT_BONUS = 0.5
"""Standard deviations that the best match by text adds to what the model saw."""
TEXT_ALONE = 3.0
"""The same for a photo whose vectors are of another model, and which has nothing else to show."""
CLOSELY = 1000
"""Photos at least that are looked at once more, in their exact vectors."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found."""

    path: str
    """Absolute. Where its name is no text, `os.fsencode` gives the bytes back."""
    caption: str
    """A person's where there is one, else the model's best, else keywords; empty if none."""
    score: float | None
    """0 to 1, larger is better; what it measures, the search says. None where nothing was asked."""
    kind: Literal["sentence", "keywords"] = "sentence"
    """What the caption is: keywords where the model trusts no sentence."""


def search(
    connection: sqlite3.Connection,
    sketches: Sketches,
    query: str,
    rank: Rank | None,
    model_id: str | None,
    limit: int,
    filters: Filters,
) -> list[Hit]:
    """The photos that fit a query best by sight and by words."""
    asked = parse(query)
    look = rank(asked.text) if rank else None
    sight = _sight(connection, sketches, look, model_id) if look and model_id else _NOTHING
    read, shares = words.with_any(connection, asked)
    at = np.searchsorted(sight.photos, read)
    seen = np.append(sight.photos, -1)[at] == read
    photos = np.concatenate([sight.photos, read[~seen]])
    scores = np.concatenate([sight.scores, TEXT_ALONE * shares[~seen]])
    scores[at[seen]] += TEXT_BONUS * shares[seen]
    kept = _kept(connection, photos, filters)
    if asked.phrases:
        kept &= np.isin(photos, words.in_captions(connection, asked.phrases)[0])
    best = _best(scores, kept, limit)
    again = best[best < len(sight.photos)]
    scores[again] += sight.closely(photos[again]) - sight.scores[again]
    return _hits(connection, photos[best], words.of_best(scores[best]), limit)


def search_captions(
    connection: sqlite3.Connection, query: str, limit: int, filters: Filters
) -> list[Hit]:
    """The photos whose caption holds every word of a query, best first by BM25."""
    asked = parse(query)
    photos, scores = words.in_captions(connection, asked.words + asked.phrases)
    kept = _kept(connection, photos, filters)
    return _hits(connection, photos[kept], words.of_best(scores[kept]), limit)


def similar(
    connection: sqlite3.Connection,
    sketches: Sketches,
    joint: HalfArray,
    model_id: str,
    limit: int,
    but_not: Path | None,
    filters: Filters,
) -> list[Hit]:
    """The photos nearest to a vector by cosine in the joint space."""
    direction, nowhere = joint.astype(np.float32)[:, None], np.empty((0, 0), np.float32)
    look = Look(direction, nowhere, lambda near, _: near, np.ones(1, np.float32))
    photos, cosines = sketches.look(connection, model_id, look)
    scores = cosines[:, 0]
    kept = _kept(connection, photos, filters)
    if but_not:
        kept &= ~np.isin(
            photos, ids(connection, "SELECT id FROM photos WHERE path = ?", [path_key(but_not)])
        )
    best = photos[_best(scores, kept, limit)]
    if not len(best):
        return []
    near = look.at(exact(connection, model_id, best))[:, 0]
    return _hits(connection, best, near, limit)


def newest(connection: sqlite3.Connection, limit: int, filters: Filters) -> list[Hit]:
    """The photos that were taken last."""
    photos = newest_first(connection)
    kept = photos[_kept(connection, photos, filters)]
    return [_hit(connection, photo, None) for photo in kept[:limit].tolist()]


def vectors_of(connection: sqlite3.Connection, path: Path, model_id: str) -> SearchVectors | None:
    """The vectors of one photo by one model."""
    row = connection.execute(
        "SELECT joint, words FROM vectors JOIN photos ON id = photo "
        "WHERE path = ? AND model_id = ?",
        [path_key(path), model_id],
    ).fetchone()
    return SearchVectors(*(np.frombuffer(blob, "<f2") for blob in row)) if row else None


@dataclass(frozen=True, slots=True)
class _Sight:
    """How photos look to a model."""

    photos: Ids
    """(N,): all that it described, ascending."""
    scores: FloatArray
    """(N,): their standard scores, nearly."""
    closely: Callable[[Ids], FloatArray]
    """Some of the photos, ascending → their standard scores by their exact vectors."""


_NOTHING = _Sight(
    np.empty(0, np.int64), np.empty(0, np.float32), lambda photos: np.empty(0, np.float32)
)


def _sight(connection: sqlite3.Connection, sketches: Sketches, look: Look, model_id: str) -> _Sight:
    photos, evidence = sketches.look(connection, model_id, look)
    if not len(photos):
        return _NOTHING
    mean, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    weights = look.shares / spread
    weights /= (evidence @ weights).std() or 1

    def standard(evidence: FloatArray) -> FloatArray:
        return (evidence - mean) @ weights

    def closely(some: Ids) -> FloatArray:
        if not len(some):
            return np.empty(0, np.float32)
        return standard(look.at(exact(connection, model_id, some)))

    return _Sight(photos, standard(evidence), closely)


def _kept(connection: sqlite3.Connection, photos: Ids, filters: Filters) -> npt.NDArray[np.bool_]:
    """Which of some photos (N,) are there and fulfil the filters: (N,)."""
    missing = ids(connection, "SELECT id FROM photos WHERE missing_since IS NOT NULL")
    kept = ~np.isin(photos, missing)
    if (chosen := filters.select(connection)) is not None:
        kept &= np.isin(photos, chosen)
    return kept


def _best(scores: FloatArray, kept: npt.NDArray[np.bool_], limit: int) -> npt.NDArray[np.intp]:
    """Where the best scores stand, of as many as are looked at closely: ascending."""
    [at] = np.nonzero(kept)
    count = max(limit, CLOSELY)
    if len(at) > count:
        at = np.sort(at[np.argpartition(-scores[at], count - 1)[:count]])
    return at


def _hits(connection: sqlite3.Connection, photos: Ids, scores: FloatArray, limit: int) -> list[Hit]:
    """The best `limit` photos; equal ones in the order of their ids."""
    order = np.lexsort((photos, -scores))[:limit]
    clipped = np.clip(scores[order], 0, 1).tolist()
    pairs = zip(photos[order].tolist(), clipped, strict=True)
    return [_hit(connection, photo, score) for photo, score in pairs]


def _hit(connection: sqlite3.Connection, photo: int, score: float | None) -> Hit:
    path, caption = connection.execute(
        "SELECT path, caption FROM photos JOIN texts ON photo = id WHERE id = ?", [photo]
    ).fetchone()
    if caption:
        return Hit(os.fsdecode(path), caption, score)
    return Hit(os.fsdecode(path), in_place(words_of(connection, photo)), score, "keywords")
