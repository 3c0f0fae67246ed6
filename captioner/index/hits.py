"""Hits: the photos that a search finds, with what is shown of each."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from captioner.index.display import display_captions, model_keywords
from captioner.types import Keyword

_LIST = "(SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo found by a search."""

    path: str
    """Absolute. If its name is not valid text, `os.fsencode` gives the bytes back."""
    caption: str
    """The display caption: human-authored (edited, else in the file), else the model's best
    sentence, else the model's keywords; empty if none."""
    score: float | None
    """0 to 1: how likely the photo is to match the query. None if there was no query."""
    kind: Literal["sentence", "keywords"] | None = "sentence"
    """What the caption is: keywords if the model trusts no sentence; None without either."""
    source: Literal["person", "model"] | None = "model"
    """Who wrote the caption."""
    confidence: float | None = None
    """How likely a model's sentence is to fit, 0 to 1 (calibrated)."""
    matched: tuple[str, ...] = ()
    """Human-authored fields with words of the query: "caption", "title", "keyword", "name"."""
    title: str | None = None
    taken_at: str | None = None
    """Local time, ISO 8601."""
    camera: str | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    keywords: tuple[Keyword, ...] = ()
    """The model's: things before actions, each most probable first."""
    file_keywords: tuple[str, ...] = ()
    """Human-authored."""
    copies: tuple[str, ...] = ()
    """Other paths with the same content."""
    content_hash: bytes | None = None
    rank: float | None = None
    """What hits are ranked by; comparable between the parts of one collection."""
    database: str | None = None
    """The index that it is in, if several were searched."""
    id: int = 0
    """Its row in the index."""


def load_hits(
    connection: sqlite3.Connection,
    photos: Sequence[int],
    scores: Sequence[tuple[float | None, float | None]],
    matched: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> list[Hit]:
    """Load photos as hits, in their order.

    Parameters
    ----------
    scores
        Score and rank of each.
    matched
        The human-authored fields that match.
    """
    ids = json.dumps(list(photos))
    rows = {
        photo: rest
        for photo, *rest in connection.execute(
            "SELECT id, path, content_hash, title, coalesce(keywords, '[]'), taken_at, "
            "camera, latitude, longitude FROM photos LEFT JOIN facts ON photo = id "
            f"WHERE id IN {_LIST}",
            [ids],
        )
    }
    keywords = model_keywords(connection, photos)
    captions = display_captions(connection, photos)
    copies: dict[bytes, list[str]] = {}
    for path, content in connection.execute(
        "SELECT path, content_hash FROM photos WHERE missing_since IS NULL AND content_hash IN "
        f"(SELECT content_hash FROM photos WHERE id IN {_LIST}) ORDER BY path",
        [ids],
    ):
        copies.setdefault(content, []).append(os.fsdecode(path))

    def hit(photo: int, score: float | None, rank: float | None) -> Hit:
        name, content, title, tags, taken_at, camera, latitude, longitude = rows[photo]
        path, best = os.fsdecode(name), captions[photo]
        return Hit(
            path=path,
            caption=best.text,
            score=score,
            kind=best.kind,
            source=best.source,
            confidence=best.confidence,
            matched=tuple(matched.get(photo, ())),
            title=title,
            taken_at=taken_at,
            camera=camera,
            latitude=latitude,
            longitude=longitude,
            keywords=tuple(keywords[photo]),
            file_keywords=tuple(json.loads(tags)),
            copies=tuple(other for other in copies.get(content, ()) if other != path),
            content_hash=content,
            rank=rank,
            id=photo,
        )

    return [hit(photo, *score) for photo, score in zip(photos, scores, strict=True)]
