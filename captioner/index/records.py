"""Export records: all that the index knows of a photo."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import TypedDict

from captioner.filenames import spelled
from captioner.index.display import (
    CAPTIONS,
    KeywordEdits,
    choose,
    keyword_edits,
    model_keywords,
)


class Keyword(TypedDict):
    """A keyword of the model."""

    word: str
    probability: float


class Alternative(TypedDict):
    """A caption other than the display caption."""

    caption: str
    source: str
    confidence: float | None


class Record(TypedDict):
    """One photo. The names stay from version to version; what is not known is None."""

    path: str
    """Absolute; bytes of a name that are not UTF-8 are written as \\xe9."""
    path_bytes: str | None
    """The exact bytes of such a path, in base64; None if `path` is exact."""
    status: str
    """"described" or "failed"."""
    reason: str | None
    """Why it failed."""
    caption: str | None
    """The display caption: human-authored, else the model's best sentence, else its keywords."""
    source: str | None
    """Who wrote it: "person" or "model"."""
    confidence: float | None
    """How likely a model's sentence is to fit, 0 to 1."""
    alternatives: list[Alternative]
    """Further captions, best first; the model's if a human-authored one is displayed."""
    keywords: list[Keyword]
    """The model's: things before actions, each most probable first."""
    model: str | None
    """Id of the model that described the photo."""
    format: str | None
    width: int | None
    """Pixels, upright."""
    height: int | None
    size: int
    """Bytes."""
    mtime_ns: int
    """When the file was last changed: nanoseconds since 1970, UTC."""
    content_hash: str | None
    """BLAKE2b-160 of the file, hexadecimal."""
    recorded_at: str
    """UTC, ISO 8601, as is the next."""
    missing_since: str | None
    missing_reason: str | None
    """"gone" or "ignored"; None while the photo is found."""
    taken_at: str | None
    """Local time, ISO 8601."""
    taken_offset: str | None
    """Of that time from UTC: "+02:00"."""
    camera: str | None
    lens: str | None
    latitude: float | None
    """Degrees, north positive."""
    longitude: float | None
    """Degrees, east positive."""
    file_title: str | None
    """Human-authored, in the file or a sidecar, as is what follows."""
    file_caption: str | None
    file_keywords: list[str]
    kind: str | None
    """What `caption` is: "sentence" or "keywords"."""
    edited_keywords: list[str]
    """Human-authored, in the index."""
    rejected_keywords: list[str]
    """The model's that a person removed; not in `keywords`."""


_PHOTOS = """
    SELECT photos.id, path, status, reason, format, width, height, size, mtime_ns,
        lower(hex(content_hash)), recorded_at, missing_since, missing_reason, taken_at,
        taken_offset, camera, lens, latitude, longitude, facts.title, facts.caption,
        coalesce(facts.keywords, '[]'), model_id
    FROM photos
    LEFT JOIN facts ON facts.photo = photos.id
    LEFT JOIN vectors ON vectors.photo = photos.id
    ORDER BY path
"""
_CAPTIONS = CAPTIONS % "= ?"


def records(connection: sqlite3.Connection) -> Iterator[Record]:
    """Every photo's record, in the order of their paths; no more than one is held at a time."""
    for (
        photo, path, status, reason, format_, width, height, size, mtime_ns, content_hash,
        recorded_at, missing_since, missing_reason, taken_at, taken_offset, camera, lens,
        latitude, longitude, file_title, file_caption, file_keywords, model,
    ) in connection.execute(_PHOTOS):  # fmt: skip
        captions = [
            (text, source, confidence)
            for _, text, source, confidence in connection.execute(_CAPTIONS, [photo])
        ]
        keywords = [
            Keyword(word=keyword.word, probability=keyword.probability)
            for keyword in model_keywords(connection, [photo])[photo]
        ]
        edited = keyword_edits(connection, [photo]).get(photo, KeywordEdits())
        best = choose(
            captions, file_caption, edited.added, (keyword["word"] for keyword in keywords)
        )
        others = captions[1:] if captions and captions[0][0] == best.text else captions
        text, exact = spelled(path)
        yield Record(
            path=text,
            path_bytes=exact,
            status=status,
            reason=reason,
            caption=best.text or None,
            source=best.source,
            confidence=best.confidence,
            alternatives=[
                Alternative(caption=other, source=source, confidence=confidence)
                for other, source, confidence in others
            ],
            keywords=keywords,
            model=model,
            format=format_,
            width=width,
            height=height,
            size=size,
            mtime_ns=mtime_ns,
            content_hash=content_hash or None,
            recorded_at=recorded_at,
            missing_since=missing_since,
            missing_reason=missing_reason,
            taken_at=taken_at,
            taken_offset=taken_offset,
            camera=camera,
            lens=lens,
            latitude=latitude,
            longitude=longitude,
            file_title=file_title,
            file_caption=file_caption,
            file_keywords=json.loads(file_keywords),
            kind=best.kind,
            edited_keywords=list(edited.added),
            rejected_keywords=list(edited.rejected),
        )
