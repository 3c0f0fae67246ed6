"""Hits: photos that were found, with what a person would want to know of each."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass
from typing import Literal

from captioner.types import Keyword, in_place


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


def hit_of(connection: sqlite3.Connection, photo: int, score: float | None) -> Hit:
    """A photo as a hit."""
    path, content, title, own, tags, taken_at, camera, latitude, longitude = connection.execute(
        "SELECT path, content_hash, title, caption, coalesce(keywords, '[]'), taken_at, camera, "
        "latitude, longitude FROM photos LEFT JOIN facts ON photo = id WHERE id = ?",
        [photo],
    ).fetchone()
    keywords = tuple(
        Keyword(word, probability)
        for word, probability in connection.execute(
            "SELECT word, round(probability, 4) FROM keywords WHERE photo = ? "
            "ORDER BY probability DESC, word",
            [photo],
        )
    )
    source: Literal["person", "model"] | None
    text, source, confidence = connection.execute(
        "SELECT text, source, round(score, 4) FROM captions WHERE photo = ? "
        "ORDER BY source = 'person' DESC, rank LIMIT 1",
        [photo],
    ).fetchone() or (None, None, None)
    if own and source != "person":
        text, source, confidence = own, "person", None
    kind: Literal["sentence", "keywords"] | None = "sentence"
    if not text:
        text = in_place(keyword.word for keyword in keywords)
        kind, source = ("keywords", "model") if text else (None, None)
    return Hit(
        path=os.fsdecode(path),
        caption=text,
        score=score,
        kind=kind,
        source=source,
        confidence=confidence,
        title=title,
        taken_at=taken_at,
        camera=camera,
        latitude=latitude,
        longitude=longitude,
        keywords=keywords,
        file_keywords=tuple(json.loads(tags)),
        copies=_copies(connection, photo, content),
    )


def _copies(connection: sqlite3.Connection, photo: int, content: bytes | None) -> tuple[str, ...]:
    if content is None:
        return ()
    rows = connection.execute(
        "SELECT path FROM photos WHERE content_hash = ? AND id != ? AND missing_since IS NULL "
        "ORDER BY path",
        [content, photo],
    )
    return tuple(os.fsdecode(path) for (path,) in rows)
