"""Uncertain photos: those whose captions a person should look at, the least certain first.

Photos that are missing, could not be described, or have a human-authored caption, in the index or
in their files, are left out. Of identical files only the first one counts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

_UNREVIEWED = """
    status = 'described' AND missing_since IS NULL
    AND NOT EXISTS (
        SELECT 1 FROM captions AS edited WHERE edited.photo = photos.id AND source = 'person'
    )
    AND NOT EXISTS (
        SELECT 1 FROM facts WHERE facts.photo = photos.id AND facts.caption IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT 1 FROM photos AS other
        WHERE other.content_hash = photos.content_hash AND other.id < photos.id
        AND other.missing_since IS NULL
    )
"""
_OUTSIDE = "photos.id NOT IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Described:
    """A photo with features, and the model's caption of it."""

    id: int
    caption: str | None
    """None if the model trusts no sentence."""
    model_id: str


@dataclass(frozen=True, slots=True)
class Unreviewed:
    """How many photos there are to review, identical files once."""

    captioned: int
    """With a caption of the model."""
    wordless: int
    """For which it trusts no sentence."""


def least_certain(
    connection: sqlite3.Connection, limit: int, without: Collection[int] = ()
) -> list[int]:
    """Ids of the photos whose captions the model is least certain of, those first.

    Parameters
    ----------
    without
        Ids of photos to leave out.
    """
    rows = connection.execute(
        "SELECT photos.id FROM captions JOIN photos ON photos.id = captions.photo "
        "WHERE captions.source = 'model' AND captions.rank = 0 "
        f"AND {_UNREVIEWED} AND {_OUTSIDE} ORDER BY captions.score, photos.id LIMIT ?",
        [json.dumps(list(without)), limit],
    )
    return [photo for (photo,) in rows]


def wordless(
    connection: sqlite3.Connection, limit: int, without: Collection[int] = ()
) -> list[int]:
    """Ids of the photos for which the model trusts no sentence, in the order of storing."""
    rows = connection.execute(
        f"SELECT id FROM photos WHERE {_UNREVIEWED} AND {_OUTSIDE} "
        "AND NOT EXISTS (SELECT 1 FROM captions WHERE photo = photos.id) ORDER BY id LIMIT ?",
        [json.dumps(list(without)), limit],
    )
    return [photo for (photo,) in rows]


def described(
    connection: sqlite3.Connection, encoder_id: str, after: int, limit: int
) -> list[Described]:
    """Photos with features of an encoder, by ids greater than `after`."""
    rows = connection.execute(
        "SELECT photos.id, text, features.model_id FROM photos "
        "JOIN features ON features.photo = photos.id LEFT JOIN captions "
        "ON captions.photo = photos.id AND source = 'model' AND rank = 0 "
        f"WHERE encoder = ? AND photos.id > ? AND {_UNREVIEWED} ORDER BY photos.id LIMIT ?",
        [encoder_id, after, limit],
    )
    return [Described(*row) for row in rows]


def count(connection: sqlite3.Connection) -> Unreviewed:
    """How many photos are left to review: reads all, which takes a second for 300,000."""
    captioned, wordless = connection.execute(
        "SELECT count(*) FILTER (WHERE has_caption), count(*) FILTER (WHERE NOT has_caption) FROM ("
        "SELECT EXISTS (SELECT 1 FROM captions WHERE photo = photos.id) AS has_caption "
        f"FROM photos WHERE {_UNREVIEWED})"
    ).fetchone()
    return Unreviewed(captioned, wordless)
