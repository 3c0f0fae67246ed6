"""Details of one photo: all that the index holds of it, by its row number."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from captioner.index import facts
from captioner.index.display import (
    DisplayCaption,
    KeywordEdits,
    Source,
    display_captions,
    keyword_edits,
    model_keywords,
)
from captioner.index.missing import MissingReason
from captioner.types import Facts, Keyword


@dataclass(frozen=True, slots=True)
class HeldCaption:
    """One caption of a photo in the index."""

    text: str
    source: Source
    model_id: str | None
    """None if human-authored, as are the next two."""
    confidence: float | None
    """0 to 1."""
    log_probability: float | None


@dataclass(frozen=True, slots=True)
class PhotoDetails:
    """All that the index holds of a photo, apart from its vectors."""

    id: int
    path: Path
    described: bool
    reason: str | None
    """Why it could not be described."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Nanoseconds since 1970."""
    content_hash: bytes | None
    width: int | None
    """Pixels, upright."""
    height: int | None
    format: str | None
    recorded_at: str
    """UTC, ISO 8601, as is the next."""
    missing_since: str | None
    missing_reason: MissingReason | None
    model_id: str | None
    """The model that described it."""
    encoder_id: str | None
    """The encoder of its stored features; None if it has none, or if they are older than ids."""
    caption: DisplayCaption
    captions: tuple[HeldCaption, ...]
    """All in the index, human-authored first, then the model's, best first."""
    keywords: tuple[Keyword, ...]
    """The model's, without rejected ones."""
    keyword_edits: KeywordEdits
    facts: Facts
    """What its file and sidecars said when they were indexed."""
    copies: tuple[tuple[int, Path], ...]
    """Row numbers and paths of other photos with the same content that are not missing."""


def details(connection: sqlite3.Connection, photo: int) -> PhotoDetails | None:
    """The details of the photo with this id; None if there is none."""
    row = connection.execute(
        "SELECT path, status = 'described', reason, size, mtime_ns, content_hash, width, height, "
        "format, recorded_at, missing_since, missing_reason, vectors.model_id, encoder FROM photos "
        "LEFT JOIN vectors ON vectors.photo = id LEFT JOIN features ON features.photo = id "
        "WHERE id = ?",
        [photo],
    ).fetchone()
    if row is None:
        return None
    (
        path, described, reason, size, mtime_ns, content_hash, width, height, format_,
        recorded_at, missing_since, missing_reason, model_id, encoder_id,
    ) = row  # fmt: skip
    captions = connection.execute(
        "SELECT text, source, model_id, score, log_probability FROM captions WHERE photo = ? "
        "ORDER BY source = 'person' DESC, rank",
        [photo],
    )
    copies = connection.execute(
        "SELECT id, path FROM photos WHERE content_hash = ? AND id != ? "
        "AND missing_since IS NULL ORDER BY path",
        [content_hash, photo],
    )
    return PhotoDetails(
        id=photo,
        path=Path(os.fsdecode(path)),
        described=bool(described),
        reason=reason,
        size=size,
        mtime_ns=mtime_ns,
        content_hash=content_hash,
        width=width,
        height=height,
        format=format_,
        recorded_at=recorded_at,
        missing_since=missing_since,
        missing_reason=missing_reason,
        model_id=model_id,
        encoder_id=encoder_id,
        caption=display_captions(connection, [photo])[photo],
        captions=tuple(HeldCaption(*caption) for caption in captions),
        keywords=tuple(model_keywords(connection, [photo])[photo]),
        keyword_edits=keyword_edits(connection, [photo]).get(photo, KeywordEdits()),
        facts=facts.by_id(connection, photo),
        copies=tuple((number, Path(os.fsdecode(other))) for number, other in copies),
    )
