"""Search: the best photos of a ranking as hits, identical files once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from captioner.fusion import Moments
from captioner.index import fulltext
from captioner.index.chunks import ChunkCache
from captioner.index.database import Ids, path_key
from captioner.index.filters import Filters
from captioner.index.hits import Hit, load_hits
from captioner.index.ranking import (
    ExamplePhoto,
    Ranked,
    rank,
    rank_captions,
    rank_newest,
    rank_similar,
)
from captioner.types import HalfArray, QueryPlanner, SearchVectors


def search(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    query: str,
    planner: QueryPlanner | None,
    model_id: str | None,
    limit: int,
    filters: Filters,
    min_score: float = 0,
    example: ExamplePhoto | None = None,
    collection: Moments | None = None,
) -> list[Hit]:
    """The best matches by human-authored text, by the model's measures and by its texts."""
    ranked = rank(
        connection, chunks, query, planner, model_id, limit, filters, min_score, example, collection
    )
    return _hits(connection, ranked, limit)


def search_captions(
    connection: sqlite3.Connection,
    query: str,
    limit: int,
    filters: Filters,
    min_score: float = 0,
) -> list[Hit]:
    """The photos whose caption, or other human-authored text, holds every word of a query.

    Human-authored text comes first, then the order is that of BM25.
    """
    return _hits(connection, rank_captions(connection, query, filters, min_score), limit)


def similar(
    connection: sqlite3.Connection,
    chunks: ChunkCache,
    embedding: HalfArray,
    model_id: str,
    limit: int,
    exclude: Path | None,
    filters: Filters,
    content_hash: bytes | None = None,
    excluded: Ids | None = None,
) -> list[Hit]:
    """The nearest neighbours of an embedding by cosine, without copies of its own photo."""
    ranked = rank_similar(
        connection, chunks, embedding, model_id, limit, exclude, filters, content_hash, excluded
    )
    return _hits(connection, ranked, limit)


def newest(
    connection: sqlite3.Connection, limit: int, filters: Filters, excluded: Ids | None = None
) -> list[Hit]:
    """The photos that were taken last."""
    return _hits(connection, rank_newest(connection, filters, excluded), limit)


def vectors(connection: sqlite3.Connection, path: Path, model_id: str) -> SearchVectors | None:
    """The vectors of one photo by one model; None if it has not described the photo."""
    row = connection.execute(
        "SELECT joint, words FROM vectors JOIN photos ON id = photo "
        "WHERE path = ? AND model_id = ?",
        [path_key(path), model_id],
    ).fetchone()
    return SearchVectors(*(np.frombuffer(blob, "<f2") for blob in row)) if row else None


def content_hash(connection: sqlite3.Connection, path: Path) -> bytes | None:
    """The content hash of a photo; None if it is not known."""
    row = connection.execute(
        "SELECT content_hash FROM photos WHERE path = ?", [path_key(path)]
    ).fetchone()
    return row[0] if row else None


def _hits(connection: sqlite3.Connection, ranked: Ranked, limit: int) -> list[Hit]:
    """The first `limit` photos, identical files once: the best one represents its copies."""
    photos, scores, ranks, query = ranked
    ranks = scores if ranks is None else ranks
    found: dict[int, tuple[float | None, float | None]] = {}
    seen: set[bytes] = set()
    for position, (photo, content) in enumerate(_content_hashes(connection, photos)):
        if content is None or content not in seen:
            found[photo] = (
                (None, None)
                if scores is None or ranks is None
                else (float(scores[position]), float(ranks[position]))
            )
        if content is not None:
            seen.add(content)
        if len(found) == limit:
            break
    ids = list(found)
    matched = fulltext.matched_fields(connection, query, ids) if query else {}
    return load_hits(connection, ids, list(found.values()), matched)


def _content_hashes(
    connection: sqlite3.Connection, photos: Ids
) -> Iterator[tuple[int, bytes | None]]:
    """Photos in their order, each with the hash of its file; None if that is not known."""
    for start in range(0, len(photos), 256):
        some: Sequence[int] = photos[start : start + 256].tolist()
        known = dict(
            connection.execute(
                "SELECT id, content_hash FROM photos WHERE id IN (SELECT value FROM json_each(?))",
                [json.dumps(some)],
            )
        )
        yield from ((photo, known[photo]) for photo in some)
