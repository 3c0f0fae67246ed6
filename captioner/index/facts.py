"""Facts: what cameras and people wrote about photos: EXIF, XMP, IPTC, sidecars.

Every function runs inside its caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from captioner.index.database import path_key
from captioner.types import FACTS_VERSION, Facts, Photo, Sidecar

_COLUMNS = tuple(one.name for one in fields(Facts))
_LISTS = ("keywords", "others")
"""Stored as JSON."""


@dataclass(frozen=True, slots=True)
class SidecarFacts:
    """The facts of a photo with sidecars, as just read."""

    photo: Photo
    facts: Facts
    """Of the photo's own file and the sidecars, merged."""
    embedded: Facts
    """Of the photo's own file alone."""
    sidecars: tuple[Sidecar, ...]
    """The sidecars that could be opened."""


def signature(sidecars: Sequence[Sidecar]) -> str:
    """Names, sizes and dates of sidecars as JSON: they are unchanged while it is the same."""
    return json.dumps(sidecars, separators=(",", ":"))


def store(
    connection: sqlite3.Connection, photo: int, facts: Facts, version: int | None = FACTS_VERSION
) -> None:
    """Store a photo's facts, replacing earlier ones, and that it has no sidecars."""
    delete(connection, photo)
    row: dict[str, Any] = {name: getattr(facts, name) for name in _COLUMNS}
    row |= {name: json.dumps(row[name], ensure_ascii=False) for name in _LISTS}
    row |= {"photo": photo, "version": version}
    connection.execute(
        f"INSERT INTO facts ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
        row,
    )


def delete(connection: sqlite3.Connection, photo: int) -> None:
    """Delete a photo's facts, those of its sidecars included."""
    connection.execute("DELETE FROM facts WHERE photo = ?", [photo])
    connection.execute("DELETE FROM sidecars WHERE photo = ?", [photo])


def store_with_sidecars(connection: sqlite3.Connection, new: SidecarFacts) -> int | None:
    """Store facts read from sidecars; the photo's id, or None if the index no longer has it.

    Of a photo that could not be read, only the sidecars' signature is stored.
    """
    row = connection.execute(
        "SELECT id, status = 'described' FROM photos WHERE path = ?", [path_key(new.photo.path)]
    ).fetchone()
    if row is None:
        return None
    photo, described = row
    if described:
        store(connection, photo, new.facts)
    else:
        delete(connection, photo)
    if new.sidecars:
        connection.execute(
            "INSERT INTO sidecars (photo, files, embedded) VALUES (?, ?, ?)",
            [photo, signature(new.sidecars), json.dumps(asdict(new.embedded), ensure_ascii=False)],
        )
    return int(photo)


def load_embedded(connection: sqlite3.Connection, photo: Photo) -> Facts | None:
    """The facts in a photo's own file; None if unknown, or read by the rules of another version."""
    row = connection.execute(
        f"SELECT status, version, embedded, {', '.join(f'facts.{name}' for name in _COLUMNS)} "
        "FROM photos LEFT JOIN facts ON facts.photo = id LEFT JOIN sidecars ON sidecars.photo = id "
        "WHERE path = ?",
        [path_key(photo.path)],
    ).fetchone()
    if row is None:
        return None
    status, version, embedded, *values = row
    if status == "failed":
        return Facts()
    if version != FACTS_VERSION:
        return None
    if embedded is not None:
        return _facts(json.loads(embedded))
    return _facts(dict(zip(_COLUMNS, values, strict=True)))


def load(connection: sqlite3.Connection, photo: Path) -> Facts | None:
    """All facts of a photo; None if there are none."""
    row = connection.execute(
        f"SELECT {', '.join(f'facts.{name}' for name in _COLUMNS)} "
        "FROM photos JOIN facts ON photo = id WHERE path = ?",
        [path_key(photo)],
    ).fetchone()
    return _facts(dict(zip(_COLUMNS, row, strict=True))) if row else None


def by_id(connection: sqlite3.Connection, photo: int) -> Facts:
    """All facts of a photo with this id."""
    row = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM facts WHERE photo = ?", [photo]
    ).fetchone()
    return _facts(dict(zip(_COLUMNS, row, strict=True))) if row else Facts()


def copy(connection: sqlite3.Connection, source: int, target: int) -> None:
    """Give a photo the embedded facts of another with the same content, without its sidecars."""
    delete(connection, target)
    row = connection.execute(
        f"SELECT version, embedded, {', '.join(f'facts.{name}' for name in _COLUMNS)} "
        "FROM facts LEFT JOIN sidecars USING (photo) WHERE photo = ?",
        [source],
    ).fetchone()
    if row:
        version, embedded, *values = row
        facts = json.loads(embedded) if embedded else dict(zip(_COLUMNS, values, strict=True))
        store(connection, target, _facts(facts), version)


def sidecars_changed(connection: sqlite3.Connection, photo: Photo) -> bool:
    """Whether a photo's sidecars are not those that the index has read, or have changed since."""
    row = connection.execute(
        "SELECT files FROM sidecars JOIN photos ON photo = id WHERE path = ?",
        [path_key(photo.path)],
    ).fetchone()
    return (row[0] if row else signature(())) != signature(photo.sidecars)


def _facts(values: dict[str, Any]) -> Facts:
    for name in _LISTS:
        items = values.get(name)
        values[name] = tuple(json.loads(items) if isinstance(items, str) else items or ())
    return Facts(**values)
