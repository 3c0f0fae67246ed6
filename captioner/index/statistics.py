"""The index counted from many sides."""

from __future__ import annotations

import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reason:
    """Why photos failed."""

    text: str
    """As of the example; others may differ in their numbers."""
    photos: int
    example: str
    """The path of one of them."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What an index holds. Missing photos count as well; all lists have the most frequent first."""

    bytes: int
    """On disk, with what SQLite keeps beside it."""
    photos: int
    described: int
    wordless: int
    """Of these, photos of which the model trusts no sentence, and nobody has said one."""
    failed: int
    missing: int
    """Photos whose files were deleted."""
    ignored: int
    """Photos that an ignore file names now."""
    edited: int
    """Photos with a person's words in the index."""
    captioned: int
    """Photos whose files hold a person's caption."""
    dated: int
    placed: int
    """Photos that know where they were taken."""
    formats: dict[str, int]
    reasons: list[Reason]
    keywords: dict[str, int]
    cameras: dict[str, int]
    years: dict[str, int]
    """In which the photos were taken, the latest first."""
    models: dict[str, int]
    """Photos that each model described, by its id."""


def count(connection: sqlite3.Connection, path: Path) -> Statistics:
    """Count everything in the database at `path`."""

    def counted(query: str) -> dict[str, int]:
        return dict(connection.execute(query).fetchall())

    def number(query: str) -> int:
        (found,) = connection.execute(query).fetchone()
        return int(found)

    photos, described, failed, missing, ignored = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE status = 'described'), "
        "count(*) FILTER (WHERE status = 'failed'), "
        "count(missing_since) - count(*) FILTER (WHERE missing_reason = 'ignored'), "
        "count(*) FILTER (WHERE missing_reason = 'ignored') FROM photos"
    ).fetchone()
    captioned, dated, placed = connection.execute(
        "SELECT count(caption), count(taken_at), count(latitude) FROM facts"
    ).fetchone()
    return Statistics(
        bytes=_size(path),
        photos=photos,
        described=described,
        wordless=number(
            "SELECT count(*) FROM photos JOIN texts ON photo = id "
            "WHERE status = 'described' AND caption = ''"
        ),
        failed=failed,
        missing=missing,
        ignored=ignored,
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
        models=counted(
            "SELECT model_id, count(*) FROM vectors GROUP BY model_id "
            "ORDER BY count(*) DESC, model_id"
        ),
    )


def _size(path: Path) -> int:
    files = (path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _reasons(connection: sqlite3.Connection) -> list[Reason]:
    """Reasons that differ only in their numbers are one."""
    found: dict[str, Reason] = {}
    for text, photos, example in connection.execute(
        "SELECT reason, count(*), min(path) FROM photos WHERE status = 'failed' "
        "GROUP BY reason ORDER BY count(*) DESC, reason"
    ):
        kind = re.sub(r"\d[\d,.]*", "0", text)
        known = found.setdefault(kind, Reason(text, 0, os.fsdecode(example)))
        found[kind] = Reason(known.text, known.photos + photos, known.example)
    return sorted(found.values(), key=lambda reason: -reason.photos)
