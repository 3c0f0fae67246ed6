"""Hits: photos that were found, with what a person would want to know of each."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from captioner.index import shown
from captioner.types import Keyword

_SOME = "(SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found."""

    path: str
    """Absolute. Where its name is no text, `os.fsencode` gives the bytes back."""
    caption: str
    """The one shown: a person's (edited, else the file's own), else the model's best, else the
    model's keywords; empty if none."""
    score: float | None
    """0 to 1: how likely the photo fits what was asked. None where nothing was asked."""
    kind: Literal["sentence", "keywords"] | None = "sentence"
    """What the caption is: keywords where the model trusts no sentence; None without either."""
    source: Literal["person", "model"] | None = "model"
    """Whose the caption is."""
    confidence: float | None = None
    """Calibrated trust in a model's caption, 0 to 1."""
    matched: tuple[str, ...] = ()
    """Where a person's words hold some of the query: "caption", "title", "keyword", "name"."""
    title: str | None = None
    taken_at: str | None = None
    """Local time, ISO 8601."""
    camera: str | None = None
    latitude: float | None = None
    """Degrees, north positive."""
    longitude: float | None = None
    """Degrees, east positive."""
    keywords: tuple[Keyword, ...] = ()
    """The model's, most probable first."""
    file_keywords: tuple[str, ...] = ()
    """A person's."""
    copies: tuple[str, ...] = ()
    """Other paths with the same content."""


def hits_of(
    connection: sqlite3.Connection,
    photos: Sequence[int],
    scores: Sequence[float | None],
    matched: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> list[Hit]:
    """Photos as hits, in their order; `matched` is where a person's words hold the query's."""
    some = json.dumps(list(photos))
    rows = {
        photo: rest
        for photo, *rest in connection.execute(
            "SELECT id, path, content_hash, title, coalesce(keywords, '[]'), taken_at, "
            "camera, latitude, longitude FROM photos LEFT JOIN facts ON photo = id "
            f"WHERE id IN {_SOME}",
            [some],
        )
    }
    keywords: dict[int, list[Keyword]] = {}
    for photo, word, probability in connection.execute(
        f"SELECT photo, word, round(probability, 4) FROM keywords WHERE photo IN {_SOME} "
        "ORDER BY photo, probability DESC, word",
        [some],
    ):
        keywords.setdefault(photo, []).append(Keyword(word, probability))
    captions = shown.of(connection, photos)
    copies: dict[bytes, list[str]] = {}
    for path, content in connection.execute(
        "SELECT path, content_hash FROM photos WHERE missing_since IS NULL AND content_hash IN "
        f"(SELECT content_hash FROM photos WHERE id IN {_SOME}) ORDER BY path",
        [some],
    ):
        copies.setdefault(content, []).append(os.fsdecode(path))

    def hit(photo: int, score: float | None) -> Hit:
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
            keywords=tuple(keywords.get(photo, ())),
            file_keywords=tuple(json.loads(tags)),
            copies=tuple(other for other in copies.get(content, ()) if other != path),
        )

    return [hit(photo, score) for photo, score in zip(photos, scores, strict=True)]
