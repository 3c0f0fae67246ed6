"""Statistics of an index: photos by state, format, camera, year, keyword and model."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from captioner.index import failures


@dataclass(frozen=True, slots=True)
class Counts:
    """Photos in an index by state. Missing and ignored ones count among the others as well."""

    photos: int
    described: int
    failed: int
    missing: int
    """Whose files were deleted."""
    ignored: int = 0
    """That match an ignore file now."""


@dataclass(frozen=True, slots=True)
class FailureReason:
    """A reason why photos could not be described, and how often it occurs."""

    text: str
    """Of the example; others may differ in their numbers."""
    photos: int
    example: str
    """The path of one of them."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over an index, missing photos included; all lists have the most frequent first."""

    bytes: int
    """On disk, SQLite's WAL and journal files included."""
    photos: int
    described: int
    wordless: int
    """Of these, photos without a caption, human-authored or trusted by the model."""
    failed: int
    missing: int
    """Photos whose files were deleted."""
    ignored: int
    """Photos that match an ignore file now."""
    edited: int
    """Photos with a human-authored caption in the index."""
    captioned: int
    """Photos with a human-authored caption in the file or a sidecar."""
    dated: int
    placed: int
    """Photos with a GPS position."""
    formats: dict[str, int]
    reasons: list[FailureReason]
    keywords: dict[str, int]
    cameras: dict[str, int]
    years: dict[str, int]
    """In which the photos were taken, the latest first."""
    models: dict[str, int]
    """Photos that each model described, by its id."""


def counts(connection: sqlite3.Connection) -> Counts:
    """Count the photos of an index by state."""
    row = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE status = 'described'), "
        "count(*) FILTER (WHERE status = 'failed'), "
        "count(missing_since) - count(*) FILTER (WHERE missing_reason = 'ignored'), "
        "count(*) FILTER (WHERE missing_reason = 'ignored') FROM photos"
    ).fetchone()
    return Counts(*row)


def models(connection: sqlite3.Connection) -> dict[str, int]:
    """How many photos each model described, by its id, the most first."""
    return dict(
        connection.execute(
            "SELECT model_id, count(*) FROM vectors GROUP BY model_id "
            "ORDER BY count(*) DESC, model_id"
        ).fetchall()
    )


def statistics(connection: sqlite3.Connection, path: Path) -> Statistics:
    """Count everything in the database at `path`."""

    def counted(query: str) -> dict[str, int]:
        return dict(connection.execute(query).fetchall())

    def number(query: str) -> int:
        (found,) = connection.execute(query).fetchone()
        return int(found)

    by_state = counts(connection)
    captioned, dated, placed = connection.execute(
        "SELECT count(caption), count(taken_at), count(latitude) FROM facts"
    ).fetchone()
    return Statistics(
        bytes=_size(path),
        photos=by_state.photos,
        described=by_state.described,
        wordless=number(
            "SELECT count(*) FROM photos JOIN texts ON photo = id "
            "WHERE status = 'described' AND caption = ''"
        ),
        failed=by_state.failed,
        missing=by_state.missing,
        ignored=by_state.ignored,
        edited=number("SELECT count(DISTINCT photo) FROM captions WHERE source = 'person'"),
        captioned=captioned,
        dated=dated,
        placed=placed,
        formats=counted(
            "SELECT format, count(*) FROM photos WHERE format IS NOT NULL "
            "GROUP BY format ORDER BY count(*) DESC, format"
        ),
        reasons=_reasons(connection),
        keywords=counted(
            "SELECT word, count(*) FROM keywords GROUP BY word ORDER BY count(*) DESC, word"
        ),
        cameras=counted(
            "SELECT camera, count(*) FROM facts WHERE camera IS NOT NULL "
            "GROUP BY camera ORDER BY count(*) DESC, camera"
        ),
        years=counted(
            "SELECT substr(taken_at, 1, 4) AS year, count(*) FROM facts "
            "WHERE taken_at IS NOT NULL GROUP BY year ORDER BY year DESC"
        ),
        models=models(connection),
    )


def _size(path: Path) -> int:
    files = (path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _reasons(connection: sqlite3.Connection) -> list[FailureReason]:
    """Reasons, those that differ only in their numbers merged."""
    found: dict[str, FailureReason] = {}
    for text, photos, example in connection.execute(
        "SELECT reason, count(*), min(path) FROM photos WHERE status = 'failed' "
        "GROUP BY reason ORDER BY count(*) DESC, reason"
    ):
        kind = failures.kind(text)
        known = found.setdefault(kind, FailureReason(text, 0, os.fsdecode(example)))
        found[kind] = FailureReason(known.text, known.photos + photos, known.example)
    return sorted(found.values(), key=lambda reason: -reason.photos)
