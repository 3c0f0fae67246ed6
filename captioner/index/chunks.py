"""Quantised chunks: the vectors of many photos in int8, small enough for a search to scan them all.

Exact vectors take a row per photo, and reading 300,000 rows takes seconds. A chunk holds the
vectors of 8,192 photos in one row, projected onto the principal components of these photos (PCA)
and quantised to int8: a tenth of the size of float32. The error is about a tenth of a standard
deviation, so a search scans all chunks first and then rescores the best photos by their exact
vectors.

Triggers in the schema invalidate a chunk: they delete it within any transaction that touches one
of its vectors. A chunk that exists is therefore right, however a writer died. If there is none, the
exact vectors are read instead, which is slower and gives the same result.

In the database the table is `sketches`: a chunk's number is the column `run`, a basis is a column
that ends in `_frame`.
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

CHUNK_SIZE = 8192
"""Photo ids per chunk: chunk n holds ids n * 8192 and up. The schema's triggers have it too."""
JOINT_COMPONENTS = 96
WORD_COMPONENTS = 192
"""Principal components that a chunk keeps. In 11,515 photos they hold 92 and 88 % of the variance,
and the ten best photos of 374 queries were among the 37 best by chunks each time."""
BLOCK_ROWS = 2048
"""Rows that are multiplied at once: few enough for the processor's cache as float32, and enough
that threads seldom wait for the interpreter."""
FIT_ROWS = 256
"""Rows that are converted to float32 at once to fit a basis, on top of all that a chunk holds."""


@dataclass(frozen=True, slots=True)
class QuantisedMatrix:
    """A matrix (N, D) in low rank and int8: `mean + codes @ components`, approximately."""

    codes: npt.NDArray[np.int8]
    """(N, K): a row's coordinates along the components, in quantisation steps."""
    basis: FloatArray
    """(1 + K, D): the mean of the rows, then one quantisation step along each component."""

    @classmethod
    def fit(cls, vectors: npt.NDArray[np.floating], components: int) -> Self:
        """Quantise vectors (N, D) along their first components, at most N or D (PCA)."""
        count, width = vectors.shape
        # Converted to float32 block by block, three times over: all at once would take 16 MiB.
        mean = vectors.mean(axis=0, dtype=np.float32)
        parts = [slice(start, start + FIT_ROWS) for start in range(0, count, FIT_ROWS)]
        scatter = np.zeros((width, width), np.float32)
        for part in parts:
            centred = vectors[part] - mean
            scatter += centred.T @ centred
        _, directions = np.linalg.eigh(scatter)  # ascending
        directions = directions[:, ::-1][:, : min(components, count)]
        largest = np.zeros(directions.shape[1], np.float32)
        for part in parts:
            np.maximum(
                largest, np.abs((vectors[part] - mean) @ directions).max(axis=0), out=largest
            )
        steps = largest / 127
        scaled = directions / np.where(steps, steps, 1)
        codes = np.empty((count, len(steps)), np.int8)
        for part in parts:
            codes[part] = np.rint((vectors[part] - mean) @ scaled).clip(-127, 127)
        return cls(codes, np.vstack([mean, (directions * steps).T]))

    def dot(self, directions: FloatArray) -> FloatArray:
        """The approximate product (N, A) of the vectors with directions (D, A)."""
        count, width = self.codes.shape
        out = np.empty((count, directions.shape[1]), np.float32)
        if not out.size:
            return out
        offset, *steps = self.basis @ directions
        by_component = np.reshape(steps, (width, -1))
        # NumPy has no fast product of int8.
        block = np.empty((min(BLOCK_ROWS, count), width), np.float32)
        for start in range(0, count, BLOCK_ROWS):
            codes = self.codes[start : start + BLOCK_ROWS]
            np.copyto(block[: len(codes)], codes)
            np.matmul(block[: len(codes)], by_component, out=out[start : start + BLOCK_ROWS])
        out += offset
        return out


@dataclass(frozen=True, slots=True)
class QuantisedChunk:
    """One model's vectors of a chunk of photos, quantised."""

    photos: Ids
    """(N,), ascending."""
    joint: QuantisedMatrix
    words: QuantisedMatrix

    def measures(self, plan: QueryPlan) -> FloatArray:
        """A query's approximate measures (N, P) of these photos."""
        return plan.measure(
            self.joint.dot(plan.joint_directions), self.words.dot(plan.word_directions)
        )


@dataclass(frozen=True, slots=True)
class ExactChunk:
    """One model's exact vectors of a chunk of photos that is not built."""

    photos: Ids
    """(N,), ascending."""
    vectors: SearchVectors

    def measures(self, plan: QueryPlan) -> FloatArray:
        """A query's exact measures (N, P) of these photos."""
        return plan.measures(self.vectors)

    def quantise(self) -> QuantisedChunk:
        """The same chunk, quantised."""
        return QuantisedChunk(
            self.photos,
            QuantisedMatrix.fit(self.vectors.embedding, JOINT_COMPONENTS),
            QuantisedMatrix.fit(self.vectors.word_hidden, WORD_COMPONENTS),
        )


def build(connection: sqlite3.Connection, number: int) -> None:
    """Store a chunk that is not built, for each model, inside the caller's transaction."""
    models = connection.execute(
        "SELECT DISTINCT model_id FROM vectors WHERE photo BETWEEN ? AND ?", _id_range(number)
    ).fetchall()
    for (model_id,) in models:
        if exact := _from_vectors(connection, number, model_id):
            chunk = exact.quantise()
            joint, words = chunk.joint, chunk.words
            arrays = chunk.photos, joint.codes, joint.basis, words.codes, words.basis
            connection.execute(
                "INSERT INTO sketches (run, model_id, photos, joint, joint_frame, words, "
                "words_frame) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [number, model_id, *(array.tobytes() for array in arrays)],
            )


def not_built(connection: sqlite3.Connection) -> list[int]:
    """The numbers of the chunks that may hold vectors but are not built."""
    built = {number for (number,) in connection.execute("SELECT run FROM sketches")}
    return [number for number in range(last_chunk(connection) + 1) if number not in built]


def last_chunk(connection: sqlite3.Connection) -> int:
    """The number of the chunk with the newest photo that has vectors; -1 if there is none."""
    (photo,) = connection.execute("SELECT max(photo) FROM vectors").fetchone()
    return -1 if photo is None else int(photo) // CHUNK_SIZE


class ChunkCache:
    """The quantised chunks of one model, cached in memory between searches. Safe for threads."""

    def __init__(self) -> None:
        self._chunks: dict[int, QuantisedChunk] = {}
        """By row id in the database."""

    def measure_all(
        self, connection: sqlite3.Connection, model_id: str, plan: QueryPlan
    ) -> tuple[Ids, FloatArray]:
        """Measure all photos that a model described, approximately: ids (N,), measures (N, P)."""
        # One thread per chunk: NumPy's own threads would compete with these.
        with _blas().limit(limits=1), ThreadPoolExecutor(_cores()) as pool:
            # While this thread reads the next chunk, others measure those before it.
            found = list(pool.map(partial(_measure, plan), self._read(connection, model_id)))
        if not found:
            return np.empty(0, np.int64), np.empty((0, len(plan.measure_weights)), np.float32)
        photos, measures = zip(*found, strict=True)
        # Column by column, since each measure is then summed over all photos.
        columns = zip(*(each.T for each in measures), strict=True)
        return np.concatenate(photos), np.stack([np.concatenate(each) for each in columns]).T

    def _read(
        self, connection: sqlite3.Connection, model_id: str
    ) -> Iterator[QuantisedChunk | ExactChunk]:
        # A stored chunk never changes, and no row id is given twice.
        built = {
            row: (number, owner)
            for row, number, owner in connection.execute("SELECT id, run, model_id FROM sketches")
        }
        own = {number: row for row, (number, owner) in built.items() if owner == model_id}
        others = {number for number, _ in built.values()} - own.keys()
        for row in set(self._chunks) - set(own.values()):
            self._chunks.pop(row, None)
        for number in range(last_chunk(connection) + 1):
            if number in own:
                row = own[number]
                if (chunk := self._chunks.get(row)) is None:
                    chunk = self._chunks[row] = _from_row(connection, row)
                yield chunk
            elif number not in others and (exact := _from_vectors(connection, number, model_id)):
                yield exact


def exact_vectors(connection: sqlite3.Connection, model_id: str, photos: Ids) -> SearchVectors:
    """The stored vectors of photos that a model described, stacked; ids ascending."""
    _, vectors = _stacked(
        connection.execute(
            "SELECT photo, joint, words FROM vectors WHERE model_id = ? "
            "AND photo IN (SELECT value FROM json_each(?)) ORDER BY photo",
            [model_id, json.dumps(photos.tolist())],
        )
    )
    return vectors


def _measure(plan: QueryPlan, chunk: QuantisedChunk | ExactChunk) -> tuple[Ids, FloatArray]:
    return chunk.photos, chunk.measures(plan)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _cores() -> int:
    return min(4, os.cpu_count() or 1)


def _id_range(number: int) -> tuple[int, int]:
    return number * CHUNK_SIZE, number * CHUNK_SIZE + CHUNK_SIZE - 1


def _from_row(connection: sqlite3.Connection, row: int) -> QuantisedChunk:
    def column(name: str) -> bytes:
        # As a stream, which copies it once; a column of a SELECT is copied twice.
        with connection.blobopen("sketches", name, row, readonly=True) as blob:
            return blob.read()

    photos = np.frombuffer(column("photos"), "<i8")

    def matrix(name: str) -> QuantisedMatrix:
        codes = np.frombuffer(column(name), np.int8).reshape(len(photos), -1)
        basis = np.frombuffer(column(f"{name}_frame"), "<f4").reshape(1 + codes.shape[1], -1)
        return QuantisedMatrix(codes, basis)

    return QuantisedChunk(photos, matrix("joint"), matrix("words"))


def _from_vectors(connection: sqlite3.Connection, number: int, model_id: str) -> ExactChunk | None:
    photos, vectors = _stacked(
        connection.execute(
            "SELECT photo, joint, words FROM vectors WHERE model_id = ? AND photo BETWEEN ? AND ? "
            "ORDER BY photo",
            [model_id, *_id_range(number)],
        )
    )
    return ExactChunk(photos, vectors) if len(photos) else None


def _stacked(rows: Iterable[tuple[int, bytes, bytes]]) -> tuple[Ids, SearchVectors]:
    photos: list[int] = []
    embeddings, word_hidden = bytearray(), bytearray()
    for photo, embedding, hidden in rows:  # one by one: the rows of a chunk take 12 MiB
        photos.append(photo)
        embeddings += embedding
        word_hidden += hidden
    stacked = (
        np.frombuffer(each, "<f2").reshape(len(photos), len(each) // 2 // max(1, len(photos)))
        for each in (embeddings, word_hidden)
    )
    return np.array(photos, np.int64), SearchVectors(*stacked)
