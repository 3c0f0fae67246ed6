"""Writing down what a model said. Every function here runs inside its caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from captioner.index import facts, texts
from captioner.index.database import now, path_key
from captioner.types import Description, Failure, HalfArray, Photo, SearchVectors

_CONTENT = "size, mtime_ns, content_hash, width, height, format, status, reason, recorded_at"
_EXCLUDED = ", ".join(f"excluded.{name}" for name in _CONTENT.split(", "))


def store(
    connection: sqlite3.Connection,
    results: Sequence[Description | Failure],
    model_id: str,
    encoder_id: str | None,
) -> None:
    """Write each result, in place of all that models said of its photo before."""
    for result in results:
        match result:
            case Description():
                photo = _record(connection, result.photo, described=result)
                _describe(connection, photo, result, model_id, encoder_id)
                facts.keep(connection, photo, result.facts)
            case Failure(photo=Photo() as found):
                photo = _record(connection, found, failed=result)
            case _:
                continue
        texts.refresh(connection, photo)


def retell(
    connection: sqlite3.Connection, descriptions: Sequence[Description], model_id: str
) -> None:
    """Write what another model says of features that are kept; the photos stay as they are."""
    for description in descriptions:
        photo, encoder_id = connection.execute(
            "SELECT id, encoder FROM photos JOIN features ON photo = id WHERE path = ?",
            [path_key(description.photo.path)],
        ).fetchone()
        _forget(connection, photo)
        _describe(connection, photo, description, model_id, encoder_id)
        texts.refresh(connection, photo)


def copy(connection: sqlite3.Connection, twin: int, photo: Photo) -> None:
    """Let a photo have all that is known of another one with the same content.

    A person's words as well, unless the photo has such of its own.
    """
    connection.execute(
        f"INSERT INTO photos (path, {_CONTENT}) SELECT ?, {_CONTENT} FROM photos WHERE id = ? "
        f"ON CONFLICT (path) DO UPDATE SET ({_CONTENT}) = ({_EXCLUDED})",
        [path_key(photo.path), twin],
    )
    number = _number(connection, photo)
    _forget(connection, number)
    facts.copy(connection, twin, number)
    connection.execute(
        "INSERT INTO captions (photo, source, model_id, rank, text, score, log_probability) "
        "SELECT ?1, source, model_id, rank, text, score, log_probability FROM captions "
        "WHERE photo = ?2 AND source NOT IN (SELECT source FROM captions WHERE photo = ?1)",
        [number, twin],
    )
    for table in ("keywords", "features", "vectors"):
        columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info ({table})")]
        rest = ", ".join(columns[1:])  # the first is the photo
        connection.execute(
            f"INSERT INTO {table} (photo, {rest}) SELECT ?, {rest} FROM {table} WHERE photo = ?",
            [number, twin],
        )
    texts.refresh(connection, number)


def _record(
    connection: sqlite3.Connection,
    photo: Photo,
    *,
    described: Description | None = None,
    failed: Failure | None = None,
) -> int:
    """The photo's id, once its row says how the file is now and nothing of a model is left."""
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
    number = _number(connection, photo)
    _forget(connection, number)
    facts.remove(connection, number)
    return number


def _number(connection: sqlite3.Connection, photo: Photo) -> int:
    key = path_key(photo.path)
    (number,) = connection.execute("SELECT id FROM photos WHERE path = ?", [key]).fetchone()
    return int(number)


def _forget(connection: sqlite3.Connection, photo: int) -> None:
    """Delete what models said of a photo."""
    connection.execute("DELETE FROM captions WHERE photo = ? AND source = 'model'", [photo])
    for table in ("keywords", "features", "vectors"):
        connection.execute(f"DELETE FROM {table} WHERE photo = ?", [photo])


def _describe(
    connection: sqlite3.Connection,
    photo: int,
    description: Description,
    model_id: str,
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
    _keep_vectors(connection, photo, description.vectors, model_id)


def _keep_vectors(
    connection: sqlite3.Connection, photo: int, vectors: SearchVectors, model_id: str
) -> None:
    connection.execute(
        "INSERT INTO vectors (photo, model_id, joint, words) VALUES (?, ?, ?, ?)",
        [photo, model_id, _blob(vectors.embedding), _blob(vectors.word_hidden)],
    )


def _blob(numbers: HalfArray) -> bytes:
    return numbers.astype("<f2").tobytes()


def words_of(connection: sqlite3.Connection, photo: int) -> list[str]:
    """The keywords of a photo, most probable first."""
    rows = connection.execute(
        "SELECT word FROM keywords WHERE photo = ? ORDER BY probability DESC, word", [photo]
    )
    return [word for (word,) in rows]
