"""Storing descriptions and failures. Every function runs inside its caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from captioner.index import documents, facts
from captioner.index.database import now, path_key
from captioner.types import Description, Failure, HalfArray, Photo

_CONTENT = "size, mtime_ns, content_hash, width, height, format, status, reason, recorded_at"
_EXCLUDED = ", ".join(f"excluded.{name}" for name in _CONTENT.split(", "))


def store(
    connection: sqlite3.Connection,
    results: Sequence[Description | Failure],
    model_id: str | None,
    encoder_id: str | None,
) -> None:
    """Store each result, replacing all that models generated for its photo before."""
    for result in results:
        match result:
            case Description():
                photo = _upsert_photo(connection, result.photo, described=result)
                _insert_description(connection, photo, result, model_id, encoder_id)
                facts.store(connection, photo, result.facts)
            case Failure(photo=Photo() as found, transient=False):
                photo = _upsert_photo(connection, found, failed=result)
            case _:
                continue
        documents.refresh(connection, photo)


def store_recaptioned(
    connection: sqlite3.Connection, descriptions: Sequence[Description], model_id: str
) -> None:
    """Store what another model generates from stored features; the photos stay the same."""
    for description in descriptions:
        photo, encoder_id = connection.execute(
            "SELECT id, encoder FROM photos JOIN features ON photo = id WHERE path = ?",
            [path_key(description.photo.path)],
        ).fetchone()
        delete_description(connection, photo)
        _insert_description(connection, photo, description, model_id, encoder_id)
        documents.refresh(connection, photo)


def copy(connection: sqlite3.Connection, source: int, photo: Photo) -> None:
    """Give a photo everything known about another one with the same content.

    Human-authored captions too, unless the photo has one of its own, and keywords.
    """
    connection.execute(
        f"INSERT INTO photos (path, {_CONTENT}) SELECT ?, {_CONTENT} FROM photos WHERE id = ? "
        f"ON CONFLICT (path) DO UPDATE SET ({_CONTENT}) = ({_EXCLUDED})",
        [path_key(photo.path), source],
    )
    target = _photo_id(connection, photo)
    delete_description(connection, target)
    facts.copy(connection, source, target)
    connection.execute(
        "INSERT INTO captions (photo, source, model_id, rank, text, score, log_probability) "
        "SELECT ?1, source, model_id, rank, text, score, log_probability FROM captions "
        "WHERE photo = ?2 AND source NOT IN (SELECT source FROM captions WHERE photo = ?1)",
        [target, source],
    )
    connection.execute(
        "INSERT OR IGNORE INTO keyword_edits (photo, word, rejected) "
        "SELECT ?, word, rejected FROM keyword_edits WHERE photo = ? ORDER BY id",
        [target, source],
    )
    for table in ("keywords", "features", "vectors"):
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info ({table})")]
        rest = ", ".join(columns[1:])  # the first is the photo
        connection.execute(
            f"INSERT INTO {table} (photo, {rest}) SELECT ?, {rest} FROM {table} WHERE photo = ?",
            [target, source],
        )
    documents.refresh(connection, target)


def _upsert_photo(
    connection: sqlite3.Connection,
    photo: Photo,
    *,
    described: Description | None = None,
    failed: Failure | None = None,
) -> int:
    """Store the file's present state and delete what models generated before; the photo's id."""
    row = {
        "path": path_key(photo.path),
        "size": photo.size,
        "mtime_ns": photo.mtime_ns,
        "content_hash": described and described.content_hash,
        "width": described and described.width,
        "height": described and described.height,
        "format": described and described.format,
        "status": "described" if described else "failed",
        "reason": failed and failed.reason,
        "recorded_at": now(),
        "missing_since": None,
        "missing_reason": None,
    }
    connection.execute(
        f"INSERT INTO photos ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)}) "
        f"ON CONFLICT (path) DO UPDATE SET {', '.join(f'{name} = :{name}' for name in row)}",
        row,
    )
    number = _photo_id(connection, photo)
    delete_description(connection, number)
    facts.delete(connection, number)
    return number


def _photo_id(connection: sqlite3.Connection, photo: Photo) -> int:
    key = path_key(photo.path)
    (number,) = connection.execute("SELECT id FROM photos WHERE path = ?", [key]).fetchone()
    return int(number)


def delete_description(connection: sqlite3.Connection, photo: int) -> None:
    """Delete what models generated for a photo."""
    connection.execute("DELETE FROM captions WHERE photo = ? AND source = 'model'", [photo])
    for table in ("keywords", "features", "vectors"):
        connection.execute(f"DELETE FROM {table} WHERE photo = ?", [photo])


def _insert_description(
    connection: sqlite3.Connection,
    photo: int,
    description: Description,
    model_id: str | None,
    encoder_id: str | None,
) -> None:
    connection.executemany(
        "INSERT INTO captions (photo, source, model_id, rank, text, score, log_probability) "
        "VALUES (?, 'model', ?, ?, ?, ?, ?)",
        [
            (photo, model_id, rank, caption.text, caption.confidence, caption.log_probability)
            for rank, caption in enumerate(description.captions)
        ],
    )
    connection.executemany(
        "INSERT INTO keywords (photo, word, probability) VALUES (?, ?, ?)",
        [(photo, keyword.word, keyword.probability) for keyword in description.keywords],
    )
    connection.execute(
        "INSERT INTO features (photo, model_id, feature, encoder) VALUES (?, ?, ?, ?)",
        [photo, model_id, _blob(description.feature), encoder_id],
    )
    vectors = description.vectors
    connection.execute(
        "INSERT INTO vectors (photo, model_id, joint, words) VALUES (?, ?, ?, ?)",
        [photo, model_id, _blob(vectors.embedding), _blob(vectors.word_hidden)],
    )


def _blob(numbers: HalfArray) -> bytes:
    """Numbers as the database stores them: float16, little-endian."""
    return numbers.astype("<f2").tobytes()
