"""Writing down what a model said. Every function here runs inside its caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from captioner.index.database import path_key
from captioner.types import Description, Failure, HalfArray, Photo


def store(
    connection: sqlite3.Connection, results: Sequence[Description | Failure], model_id: str
) -> None:
    """Write each result, in place of all that models said of its photo before."""
    for result in results:
        match result:
            case Description():
                photo = _record(connection, result.photo, described=result)
                _describe(connection, photo, result, model_id)
            case Failure(photo=Photo() as found):
                photo = _record(connection, found, failed=result)
            case _:
                continue
        draw_texts(connection, photo)


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
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "missing_since": None,
    }
    connection.execute(
        f"INSERT INTO photos ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)}) "
        f"ON CONFLICT (path) DO UPDATE SET {', '.join(f'{name} = :{name}' for name in row)}",
        row,
    )
    (number,) = connection.execute("SELECT id FROM photos WHERE path = :path", row).fetchone()
    connection.execute("DELETE FROM captions WHERE photo = ? AND source = 'model'", [number])
    for table in ("keywords", "features", "vectors", "facts"):
        connection.execute(f"DELETE FROM {table} WHERE photo = ?", [number])
    return int(number)


def _describe(
    connection: sqlite3.Connection, photo: int, description: Description, model_id: str
) -> None:
    connection.executemany(
        "INSERT INTO captions (photo, source, model_id, rank, text, score, log_probability) "
        "VALUES (?, 'model', ?, ?, ?, ?, ?)",
        [
            (photo, model_id, rank, caption.text, caption.score, caption.log_probability)
            for rank, caption in enumerate(description.captions)
        ],
    )
    connection.executemany(
        "INSERT INTO keywords (photo, word, probability) VALUES (?, ?, ?)",
        [(photo, keyword.word, keyword.probability) for keyword in description.keywords],
    )
    connection.execute(
        "INSERT INTO features (photo, model_id, feature) VALUES (?, ?, ?)",
        [photo, model_id, _blob(description.feature)],
    )
    connection.execute(
        "INSERT INTO vectors (photo, model_id, joint, words) VALUES (?, ?, ?, ?)",
        [photo, model_id, _blob(description.vectors.joint), _blob(description.vectors.words)],
    )
    facts = description.facts
    connection.execute(
        "INSERT INTO facts (photo, taken_at, taken_offset, camera, lens, latitude, longitude, "
        "caption, keywords) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            photo, facts.taken_at, facts.taken_offset, facts.camera, facts.lens, facts.latitude,
            facts.longitude, facts.caption, json.dumps(facts.keywords, ensure_ascii=False),
        ],
    )  # fmt: skip


def _blob(numbers: HalfArray) -> bytes:
    return numbers.astype("<f2").tobytes()


def draw_texts(connection: sqlite3.Connection, photo: int) -> None:
    """Write anew what the full-text index sees of a photo: a person's words before a model's."""
    captions = [
        text
        for (text,) in connection.execute(
            "SELECT text FROM captions WHERE photo = ? ORDER BY source = 'person' DESC, rank",
            [photo],
        )
    ]
    keywords = [
        word
        for (word,) in connection.execute(
            "SELECT word FROM keywords WHERE photo = ? ORDER BY probability DESC, word", [photo]
        )
    ]
    connection.execute("DELETE FROM texts WHERE photo = ?", [photo])
    if captions:
        connection.execute(
            "INSERT INTO texts (photo, caption, others, keywords) VALUES (?, ?, ?, ?)",
            [photo, captions[0], "\n".join(captions[1:]), " ".join(keywords)],
        )
