"""What cameras and people wrote about photos, in their files and in sidecars, as the index has it.

Every function here runs inside its caller's transaction.
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
class WithSidecars:
    """The facts of a photo with sidecars, as they were read just now."""

    photo: Photo
    facts: Facts
    """Of its own file and the sidecars together."""
    own: Facts
    """Of its own file."""
    read: tuple[Sidecar, ...]
    """The sidecars that could be opened."""


def signature(sidecars: Sequence[Sidecar]) -> str:
    """Sidecars in a text: they are unchanged while it is the same."""
    return json.dumps(sidecars, separators=(",", ":"))


def keep(
    connection: sqlite3.Connection, photo: int, facts: Facts, version: int | None = FACTS_VERSION
) -> None:
    """Store a photo's facts in place of earlier ones, and that it has no sidecars."""
    remove(connection, photo)
    row: dict[str, Any] = {name: getattr(facts, name) for name in _COLUMNS}
    row |= {name: json.dumps(row[name], ensure_ascii=False) for name in _LISTS}
    row |= {"photo": photo, "version": version}
    connection.execute(
        f"INSERT INTO facts ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
        row,
    )


def remove(connection: sqlite3.Connection, photo: int) -> None:
    """Remove a photo's facts, and what its sidecars said."""
    connection.execute("DELETE FROM facts WHERE photo = ?", [photo])
    connection.execute("DELETE FROM sidecars WHERE photo = ?", [photo])


def keep_with_sidecars(connection: sqlite3.Connection, new: WithSidecars) -> int | None:
    """Store what was read from sidecars; the photo's id, or None where the index has it no more.

    Of a photo that could not be read, it is only remembered which sidecars there are.
    """
    row = connection.execute(
        "SELECT id, status = 'described' FROM photos WHERE path = ?", [path_key(new.photo.path)]
    ).fetchone()
    if row is None:
        return None
    photo, described = row
    if described:
        keep(connection, photo, new.facts)
    else:
        remove(connection, photo)
    if new.read:
        connection.execute(
            "INSERT INTO sidecars (photo, files, embedded) VALUES (?, ?, ?)",
            [photo, signature(new.read), json.dumps(asdict(new.own), ensure_ascii=False)],
        )
    return int(photo)


def own(connection: sqlite3.Connection, photo: Photo) -> Facts | None:
    """What a photo's own file says; None where the index does not know it by today's rules."""
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


def of(connection: sqlite3.Connection, photo: Path) -> Facts | None:
    """All facts of a photo; None where there are none."""
    row = connection.execute(
        f"SELECT {', '.join(f'facts.{name}' for name in _COLUMNS)} "
        "FROM photos JOIN facts ON photo = id WHERE path = ?",
        [path_key(photo)],
    ).fetchone()
    return _facts(dict(zip(_COLUMNS, row, strict=True))) if row else None


def copy(connection: sqlite3.Connection, source: int, target: int) -> None:
    """Give a photo the facts in the file of another with the same content, without its sidecars."""
    remove(connection, target)
    row = connection.execute(
        f"SELECT version, embedded, {', '.join(f'facts.{name}' for name in _COLUMNS)} "
        "FROM facts LEFT JOIN sidecars USING (photo) WHERE photo = ?",
        [source],
    ).fetchone()
    if row:
        version, embedded, *values = row
        facts = json.loads(embedded) if embedded else dict(zip(_COLUMNS, values, strict=True))
        keep(connection, target, _facts(facts), version)


def changed(connection: sqlite3.Connection, photo: Photo) -> bool:
    """Whether a photo's sidecars are others than those that the index has read."""
    row = connection.execute(
        "SELECT files FROM sidecars JOIN photos ON photo = id WHERE path = ?",
        [path_key(photo.path)],
    ).fetchone()
    return (row[0] if row else signature(())) != signature(photo.sidecars)


def _facts(values: dict[str, Any]) -> Facts:
    for name in _LISTS:
        found = values.get(name)
        values[name] = tuple(json.loads(found) if isinstance(found, str) else found or ())
    return Facts(**values)
