"""Sketches: what a model saw in many photos at once, small enough to look at all of them.

Exact vectors have a row for each photo, and reading 300,000 rows takes seconds. A sketch holds the
vectors of a whole run of photos in one row, along the few axes in which these photos differ most
(principal components), in int8: a tenth of the size of float32. It errs by about a tenth of a
standard deviation, so a search looks at all sketches first and at the exact vectors of the best
photos afterwards.

Triggers rub out a run's sketches within whatever transaction touches one of its vectors. So a
sketch that is there is right, however a writer died; where there is none, the vectors are read
instead, which is slower and finds the same.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from captioner.index.database import Ids
from captioner.types import FloatArray, QueryPlan, SearchVectors

RUN = 8192
"""Numbers of photos that share a sketch; the triggers of the schema know it too."""
JOINT_AXES = 96
WORDS_AXES = 192
"""Axes that a sketch keeps. In 11,515 photos these hold 92 and 88 % of the variance, and the ten
best of 374 queries were among the 37 best by sketches each time."""
BLOCK = 2048
"""Photos that are multiplied at once: few enough for the processor's cache as float32, and enough
that threads seldom wait for the interpreter."""
PIECE = 256
"""Photos whose vectors are made float32 at once to draw them, beside all else that a run holds."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Vectors, nearly: by their places along the axes in which they differ most."""

    places: npt.NDArray[np.int8]
    """(N, K): a row a photo, in steps along the axes."""
    frame: FloatArray
    """(1 + K, D): the mean of the vectors, and what a step along each axis adds to it."""

    @classmethod
    def through(cls, vectors: npt.NDArray[np.floating], axes: int) -> Self:
        """The plane nearest to vectors (N, D), of so many axes, but of no more than N or D."""
        count, width = vectors.shape
        # Made float32 piece by piece, three times over: all at once they would be 16 MiB.
        mean = vectors.mean(axis=0, dtype=np.float32)
        parts = [slice(start, start + PIECE) for start in range(0, count, PIECE)]
        spread = np.zeros((width, width), np.float32)
        for part in parts:
            away = vectors[part] - mean
            spread += away.T @ away
        _, directions = np.linalg.eigh(spread)  # ascending
        directions = directions[:, ::-1][:, : min(axes, count)]
        most = np.zeros(directions.shape[1], np.float32)
        for part in parts:
            np.maximum(most, np.abs((vectors[part] - mean) @ directions).max(axis=0), out=most)
        steps = most / 127
        scaled = directions / np.where(steps, steps, 1)
        places = np.empty((count, len(steps)), np.int8)
        for part in parts:
            places[part] = np.rint((vectors[part] - mean) @ scaled).clip(-127, 127)
        return cls(places, np.vstack([mean, (directions * steps).T]))

    def along(self, directions: FloatArray) -> FloatArray:
        """The product (N, A) of the vectors with directions (D, A), nearly."""
        count, width = self.places.shape
        out = np.empty((count, directions.shape[1]), np.float32)
        if not out.size:
            return out
        middle, *steps = self.frame @ directions
        by_step = np.reshape(steps, (width, -1))
        # NumPy has no fast product of int8.
        block = np.empty((min(BLOCK, count), width), np.float32)
        for start in range(0, count, BLOCK):
            piece = self.places[start : start + BLOCK]
            np.copyto(block[: len(piece)], piece)
            np.matmul(block[: len(piece)], by_step, out=out[start : start + BLOCK])
        out += middle
        return out


@dataclass(frozen=True, slots=True)
class Sketch:
    """What one model saw in the photos of a run, nearly: as it is looked at first."""

    photos: Ids
    """(N,), ascending."""
    joint: Plane
    words: Plane

    def at(self, look: QueryPlan) -> FloatArray:
        """The evidence (N, P) that a look finds here, nearly."""
        return look.measure(
            self.joint.along(look.joint_directions), self.words.along(look.word_directions)
        )


@dataclass(frozen=True, slots=True)
class Vectors:
    """The same exactly, of a run that nobody has drawn."""

    photos: Ids
    """(N,), ascending."""
    vectors: SearchVectors

    def at(self, look: QueryPlan) -> FloatArray:
        """The evidence (N, P) that a look finds here."""
        return look.measures(self.vectors)

    def drawn(self) -> Sketch:
        """The sketch of it."""
        return Sketch(
            self.photos,
            Plane.through(self.vectors.embedding, JOINT_AXES),
            Plane.through(self.vectors.word_hidden, WORDS_AXES),
        )


def draw(connection: sqlite3.Connection, run: int) -> None:
    """Write the sketches of a run that has none, inside the caller's transaction."""
    models = connection.execute(
        "SELECT DISTINCT model_id FROM vectors WHERE photo BETWEEN ? AND ?", _photos_of(run)
    ).fetchall()
    for (model_id,) in models:
        if vectors := _from_vectors(connection, run, model_id):
            sketch = vectors.drawn()
            joint, words = sketch.joint, sketch.words
            arrays = sketch.photos, joint.places, joint.frame, words.places, words.frame
            connection.execute(
                "INSERT INTO sketches (run, model_id, photos, joint, joint_frame, words, "
                "words_frame) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [run, model_id, *(array.tobytes() for array in arrays)],
            )


def undrawn(connection: sqlite3.Connection) -> list[int]:
    """The runs that may hold vectors, but have no sketches."""
    drawn = {run for (run,) in connection.execute("SELECT run FROM sketches")}
    return [run for run in range(last_run(connection) + 1) if run not in drawn]


def last_run(connection: sqlite3.Connection) -> int:
    """The run of the newest photo that has vectors; -1 where there is none."""
    (photo,) = connection.execute("SELECT max(photo) FROM vectors").fetchone()
    return -1 if photo is None else int(photo) // RUN


class Sketches:
    """The sketches of one model, kept in memory from one search to the next."""

    def __init__(self) -> None:
        self._held: dict[int, Sketch] = {}

    def look(
        self, connection: sqlite3.Connection, model_id: str, look: QueryPlan
    ) -> tuple[Ids, FloatArray]:
        """Look at all photos that a model described, nearly: ids (N,), evidence (N, P)."""
        # One thread a run: threads of NumPy's own beside these would wait for each other.
        with _blas().limit(limits=1), ThreadPoolExecutor(_cores()) as pool:
            # Whatever is read in this thread is looked at in others meanwhile.
            found = list(pool.map(partial(_look, look), self._read(connection, model_id)))
        if not found:
            return np.empty(0, np.int64), np.empty((0, len(look.measure_weights)), np.float32)
        photos, evidence = zip(*found, strict=True)
        # A measure after the other, as each is added up over all photos.
        measures = zip(*(each.T for each in evidence), strict=True)
        return np.concatenate(photos), np.stack([np.concatenate(each) for each in measures]).T

    def _read(self, connection: sqlite3.Connection, model_id: str) -> Iterator[Sketch | Vectors]:
        # A sketch never changes, and no number is given twice.
        drawn = {
            number: (run, owner)
            for number, run, owner in connection.execute("SELECT id, run, model_id FROM sketches")
        }
        own = {run: number for number, (run, owner) in drawn.items() if owner == model_id}
        others = {run for run, _ in drawn.values()} - own.keys()
        self._held = {n: sketch for n, sketch in self._held.items() if n in own.values()}
        for run in range(last_run(connection) + 1):
            if run in own:
                number = own[run]
                if number not in self._held:
                    self._held[number] = _from_row(connection, number)
                yield self._held[number]
            elif run not in others and (vectors := _from_vectors(connection, run, model_id)):
                yield vectors


def exact(connection: sqlite3.Connection, model_id: str, photos: Ids) -> SearchVectors:
    """The vectors of photos that a model described, as they were stored; ids ascending."""
    _, vectors = _stacked(
        connection.execute(
            "SELECT photo, joint, words FROM vectors WHERE model_id = ? "
            "AND photo IN (SELECT value FROM json_each(?)) ORDER BY photo",
            [model_id, json.dumps(photos.tolist())],
        )
    )
    return vectors


def _look(look: QueryPlan, run: Sketch | Vectors) -> tuple[Ids, FloatArray]:
    return run.photos, run.at(look)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _cores() -> int:
    return min(4, os.cpu_count() or 1)


def _photos_of(run: int) -> tuple[int, int]:
    return run * RUN, run * RUN + RUN - 1


def _from_row(connection: sqlite3.Connection, number: int) -> Sketch:
    def column(name: str) -> bytes:
        # As a stream, which copies it once; a column of a SELECT is copied twice.
        with connection.blobopen("sketches", name, number, readonly=True) as blob:
            return blob.read()

    photos = np.frombuffer(column("photos"), "<i8")

    def plane(name: str) -> Plane:
        places = np.frombuffer(column(name), np.int8).reshape(len(photos), -1)
        frame = np.frombuffer(column(f"{name}_frame"), "<f4").reshape(1 + places.shape[1], -1)
        return Plane(places, frame)

    return Sketch(photos, plane("joint"), plane("words"))


def _from_vectors(connection: sqlite3.Connection, run: int, model_id: str) -> Vectors | None:
    photos, vectors = _stacked(
        connection.execute(
            "SELECT photo, joint, words FROM vectors WHERE model_id = ? AND photo BETWEEN ? AND ? "
            "ORDER BY photo",
            [model_id, *_photos_of(run)],
        )
    )
    return Vectors(photos, vectors) if len(photos) else None


def _stacked(rows: Iterable[tuple[int, bytes, bytes]]) -> tuple[Ids, SearchVectors]:
    photos: list[int] = []
    joint, words = bytearray(), bytearray()
    for photo, place, hidden in rows:  # one by one: a run of them is 12 MiB
        photos.append(photo)
        joint += place
        words += hidden
    stacked = (
        np.frombuffer(each, "<f2").reshape(len(photos), len(each) // 2 // max(1, len(photos)))
        for each in (joint, words)
    )
    return np.array(photos, np.int64), SearchVectors(*stacked)
