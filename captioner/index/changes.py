"""What is new or has changed since it was last stored, by size and modification time alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from captioner.index import database
from captioner.types import Photo


def pending(path: Path, photos: Iterable[Photo]) -> Iterator[Photo]:
    """The photos that the database at `path` does not hold as they are now, in the order given."""
    # A connection of its own lets a loader thread ask while the writer is in a transaction.
    with closing(database.reader(path)) as connection:
        for photo in photos:
            with database.explained(path):
                known = connection.execute(
                    "SELECT size, mtime_ns FROM photos WHERE path = ?",
                    [database.path_key(photo.path)],
                ).fetchone()
            if known != (photo.size, photo.mtime_ns):
                yield photo
