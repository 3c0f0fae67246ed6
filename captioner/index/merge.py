"""Merging: all that another index, or a part, knows of its photos, brought into an index.

Photos are the same if their paths and contents are. What people wrote is never lost: where both
sides have a caption, both are kept. At one path with two contents are two pictures: the newer one
stays, and neither gets the other's captions. Every function runs inside its caller's transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

from captioner.index import documents, facts, store
from captioner.index.database import path_key
from captioner.types import BundleIds, Description, Facts, Failure

_BATCH = 500
"""Photos per transaction."""
_TABLES = ("keywords", "features", "vectors", "facts", "sidecars")
"""What is known of a photo by its id, apart from captions."""
_BY_MODEL = "AND source = 'model'"


@dataclass(frozen=True, slots=True)
class OtherPicture:
    """Two pictures at one path, of which a person captioned the one that is not taken over."""

    path: str
    source: str
    """The index that was merged."""
    captions: tuple[str, ...]
    """The human-authored ones that stay where they are."""
    here: bool
    """Whether they are in the index merged into, which then keeps its picture, although older."""


@dataclass
class MergeSummary:
    """How many photos a merge brought or changed."""

    added: int = 0
    updated: int = 0
    """Known by their paths, and now with another content, or with further captions of people."""
    unchanged: int = 0
    others: list[OtherPicture] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        """Count one photo: "added", "updated" or "unchanged"."""
        setattr(self, outcome, getattr(self, outcome) + 1)


def merge_index(
    connection: sqlite3.Connection, source: sqlite3.Connection, name: str, summary: MergeSummary
) -> Iterator[None]:
    """Merge another index of this name; yields after each batch, so that the caller can commit."""
    return _Merger(connection, source, name).merge(summary)


def merge_results(
    connection: sqlite3.Connection,
    results: Sequence[Description | Failure],
    bundle: BundleIds,
    summary: MergeSummary,
) -> None:
    """Merge descriptions and failures; those of older files than the index knows are left out."""
    added = []
    for result in results:
        if result.photo is None or (isinstance(result, Failure) and result.transient):
            continue
        known = connection.execute(
            "SELECT content_hash, status, size, mtime_ns, model_id FROM photos "
            "LEFT JOIN vectors ON photo = id WHERE path = ?",
            [path_key(result.photo.path)],
        ).fetchone()
        if known and not _is_news(result, bundle, *known):
            summary.count("unchanged")
            continue
        store.store(connection, [result], bundle.model_id, bundle.encoder_id)
        summary.count("updated" if known else "added")
        if not known:
            added.append(path_key(result.photo.path))
    _keep_out_of_reach(connection, added)


def _is_news(
    result: Description | Failure,
    bundle: BundleIds,
    content_hash: bytes | None,
    status: str,
    size: int,
    mtime_ns: int,
    model_id: str | None,
) -> bool:
    assert result.photo
    same_file = (size, mtime_ns) == (result.photo.size, result.photo.mtime_ns)
    if isinstance(result, Failure):
        return not same_file and result.photo.mtime_ns > mtime_ns
    if content_hash == result.content_hash:
        return model_id != bundle.model_id
    return (status == "failed" and same_file) or result.photo.mtime_ns > mtime_ns


class _Merger:
    """Merges one index into another."""

    def __init__(
        self, connection: sqlite3.Connection, source: sqlite3.Connection, name: str
    ) -> None:
        self._connection = connection
        self._source = source
        self._name = name
        self._columns = {
            table: [name for _, name, *_ in source.execute(f"PRAGMA table_info ({table})")]
            for table in (*_TABLES, "photos", "captions", "writes")
        }

    def merge(self, summary: MergeSummary) -> Iterator[None]:
        """Merge all photos, then the records of what was written into files."""
        names = self._columns["photos"]
        photos = self._source.execute(f"SELECT {', '.join(names)} FROM photos ORDER BY id")
        while batch := [dict(zip(names, row, strict=True)) for row in islice(photos, _BATCH)]:
            outcomes = [self._merge_photo(row.pop("id"), row, summary) for row in batch]
            added = (r["path"] for r, how in zip(batch, outcomes, strict=True) if how == "added")
            _keep_out_of_reach(self._connection, added)
            for how in outcomes:
                summary.count(how)
            yield
        columns = self._columns["writes"][1:]
        self._connection.executemany(
            f"INSERT OR IGNORE INTO writes ({', '.join(columns)}) VALUES ({_marks(columns)})",
            self._source.execute(f"SELECT {', '.join(columns)} FROM writes"),
        )
        yield

    def _merge_photo(self, number: int, row: dict[str, Any], summary: MergeSummary) -> str:
        """Merge the photo with an id in the source; "added", "updated" or "unchanged"."""
        connection = self._connection
        known = connection.execute(
            "SELECT id, content_hash, status, mtime_ns, recorded_at FROM photos WHERE path = ?",
            [row["path"]],
        ).fetchone()
        if known is None:
            photo = connection.execute(
                f"INSERT INTO photos ({', '.join(row)}) VALUES ({_marks(row)})", [*row.values()]
            ).lastrowid
            assert photo is not None
            self._copy(number, photo)
            self._add_edits(number, photo)
            documents.refresh(connection, photo)
            return "added"
        photo, content_hash, status, mtime_ns, recorded_at = known
        same = content_hash == row["content_hash"]
        newer = (row["status"] == "described", row["mtime_ns"], row["recorded_at"]) > (
            status == "described", mtime_ns, recorded_at,
        )  # fmt: skip
        changed = newer and not same
        if None not in (content_hash, row["content_hash"]) and not same:
            ours, theirs = _by_people(connection, photo), _by_people(self._source, number)
            kept, left = (theirs, ours) if newer else (ours, theirs)
            if lost := [text for text in left if text not in kept]:
                path = os.fsdecode(row["path"])
                other = OtherPicture(path, self._name, tuple(lost), here=newer)
                summary.others.append(other)
            if lost or not newer:
                return "unchanged"
        if changed:
            connection.execute(
                f"UPDATE photos SET {', '.join(f'{name} = ?' for name in row)} WHERE id = ?",
                [*row.values(), photo],
            )
            store.delete_description(connection, photo)
            facts.delete(connection, photo)
            self._copy(number, photo)
        if same:
            changed |= self._combine_facts(photo, number, facts.by_id(self._source, number))
        changed |= self._add_edits(number, photo)
        if changed:
            documents.refresh(connection, photo)
        return "updated" if changed else "unchanged"

    def _copy(self, number: int, photo: int) -> None:
        """Give a photo what a model generated for it in the source, and what its file says."""
        for table, condition in (*((table, "") for table in _TABLES), ("captions", _BY_MODEL)):
            columns = [name for name in self._columns[table] if name not in {"id", "photo"}]
            names = ", ".join(columns)
            self._connection.executemany(
                f"INSERT INTO {table} (photo, {names}) VALUES ({photo}, {_marks(columns)})",
                self._source.execute(
                    f"SELECT {names} FROM {table} WHERE photo = ? {condition}", [number]
                ),
            )

    def _add_edits(self, number: int, photo: int) -> bool:
        """Add the human-authored captions and keywords that a photo lacks, after those it has."""
        texts = _by_people(self._connection, photo)
        new = [text for text in _by_people(self._source, number) if text not in texts]
        self._connection.executemany(
            "INSERT INTO captions (photo, source, rank, text) VALUES (?, 'person', ?, ?)",
            ((photo, rank, text) for rank, text in enumerate(new, len(texts))),
        )
        keywords = self._connection.executemany(
            f"INSERT OR IGNORE INTO keyword_edits (photo, word, rejected) VALUES ({photo}, ?, ?)",
            self._source.execute(
                "SELECT word, rejected FROM keyword_edits WHERE photo = ? ORDER BY id", [number]
            ),
        )
        return bool(new) or keywords.rowcount > 0

    def _combine_facts(self, photo: int, number: int, other: Facts) -> bool:
        """Add to a photo's facts; those of the same photo in the source are from a sidecar."""
        known = facts.by_id(self._connection, photo)
        combined = _combined(known, other)
        if combined == known:
            return False
        sidecars = "SELECT files, embedded FROM sidecars WHERE photo = ?"
        rows = (
            self._connection.execute(sidecars, [photo]).fetchall()
            or self._source.execute(sidecars, [number]).fetchall()
        )
        facts.store(self._connection, photo, combined)
        self._connection.executemany(f"INSERT INTO sidecars VALUES ({photo}, ?, ?)", rows)
        return True


def _by_people(connection: sqlite3.Connection, photo: int) -> list[str]:
    """The human-authored captions of a photo, first the one that is shown."""
    select = "SELECT text FROM captions WHERE photo = ? AND source = 'person' ORDER BY rank"
    return [text for (text,) in connection.execute(select, [photo])]


def _combined(known: Facts, other: Facts) -> Facts:
    """All that either has to say; where they differ, what is known comes first."""
    changes = {
        one.name: getattr(other, one.name)
        for one in fields(Facts)
        if getattr(known, one.name) in (None, ())
    }
    new = replace(known, **changes)
    folded = {keyword.lower() for keyword in new.keywords}
    keywords = tuple(word for word in other.keywords if word.lower() not in folded)
    texts = {new.caption, new.title, *new.others}
    further = (other.caption, other.title, *other.others)
    others = tuple(dict.fromkeys(text for text in further if text and text not in texts))
    return replace(new, keywords=new.keywords + keywords, others=new.others + others)


def _keep_out_of_reach(connection: sqlite3.Connection, paths: Iterable[bytes]) -> None:
    """Note where photos are that this machine does not have, so that none counts as deleted."""
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 (bytes)
    away = set(map(_topmost_absent, folders)) - {None}
    connection.executemany("INSERT OR IGNORE INTO mounts VALUES (?)", ((one,) for one in away))


def _topmost_absent(folder: bytes) -> bytes | None:
    """The highest of a folder and those above it that does not exist; None if it exists."""
    if os.path.isdir(folder):  # noqa: PTH112 (bytes)
        return None
    while (above := os.path.dirname(folder)) not in (folder, b""):  # noqa: PTH120
        if os.path.isdir(above):  # noqa: PTH112
            break
        folder = above
    return folder


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values)
