"""(h) Search among 300,000 photos: cold and warm, and how vectors are best stored.

The database is made for the run: the descriptions of some real photos, repeated with different
noise on the vectors, another date, place and camera. `--database FILE` keeps it, and reuses it if
it exists.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.startup import CAPTIONER
from captioner.app_paths import bundle_folder
from captioner.execution import describe
from captioner.fusion import ScoreFusion
from captioner.index import Filters, Index
from captioner.index.chunks import (
    CHUNK_SIZE,
    JOINT_COMPONENTS,
    WORD_COMPONENTS,
    ChunkCache,
    QuantisedChunk,
    QuantisedMatrix,
)
from captioner.index.ranking import RESCORED
from captioner.model import DescribeOptions, load
from captioner.model.query import load_planner
from captioner.types import (
    Description,
    Facts,
    FloatArray,
    HalfArray,
    Photo,
    QueryPlan,
    SearchVectors,
)

QUERIES = (
    "surfer",
    "dog running",
    "a man",
    "man woman people",
    "two children play in the water",
    "a man in a red shirt rides a bicycle down a city street while people watch",
    "black dog in the snow",
    "unicorn on a beach",
)
"""Rare words, common ones, sentences, and one that the model does not know."""
FILTERS = {
    "after 2012": Filters(after="2012"),
    "with a camera and a keyword": Filters(camera="canon", keywords=("dog",)),
}
BATCH = 500
"""Photos per transaction."""
BLOCK_ROWS = 256
"""Photos converted from float16 to float32 at once: they stay in the processor's cache."""
MAX_SECONDS = 30
"""Of scans after which a format is not measured again."""


def synthetic(seeds: Sequence[Description], count: int) -> Iterator[list[Description]]:
    """Noisy copies of the seeds in batches of `BATCH`, never the same twice."""
    random = np.random.default_rng(1)
    for first in range(0, count, BATCH):
        batch = []
        for number in range(first, min(count, first + BATCH)):
            seed, year, month = seeds[number % len(seeds)], 2000 + number % 25, number % 12 + 1
            joint = seed.vectors.embedding + random.normal(0, 0.02, seed.vectors.embedding.shape)
            words = seed.vectors.word_hidden * random.normal(
                1, 0.15, seed.vectors.word_hidden.shape
            )
            batch.append(
                replace(
                    seed,
                    photo=Photo(Path(f"/photos/{year}/{month:02}/{number:06}.jpg"), number, number),
                    content_hash=number.to_bytes(20, "big"),
                    vectors=SearchVectors(
                        (joint / np.linalg.norm(joint)).astype(np.float16),
                        np.maximum(words, 0).astype(np.float16),
                    ),
                    facts=Facts(
                        taken_at=f"{year}-{month:02}-{number % 28 + 1:02}T12:00:00",
                        camera=("Canon EOS R6", "Apple iPhone 15")[number % 2],
                        latitude=float(random.uniform(-60, 60)),
                        longitude=float(random.uniform(-180, 180)),
                    ),
                )
            )
        yield batch


def build(database: Path, options: argparse.Namespace) -> None:
    """Describe the seeds and fill the database."""
    describer = load(DescribeOptions(bundle=options.model))
    with common.photos(options.photos, options.seeds) as photos:
        seeds = [each for each in describe(photos, describer) if isinstance(each, Description)]
    with Index.open(database, write=True) as index:
        for number, batch in enumerate(synthetic(seeds, options.count), 1):
            index.store(batch, describer.model_id)
            common.progress(f"{number * BATCH:,} synthetic photos")
    common.progress("")


Scan = Callable[[QueryPlan], FloatArray]
"""Measures all photos for a query: (N, P), approximately or exactly."""


class Formats:
    """The same vectors in the storage formats compared; each method opens one from scratch."""

    def __init__(self, database: Path, model_id: str, scratch: Path) -> None:
        self.database, self.model_id, self.scratch = database, model_id, scratch
        joint, words = self._read()
        self.widths = joint.shape[1], words.shape[1]
        for name, vectors in (("joint", joint), ("words", words)):
            vectors.tofile(scratch / f"{name}.f2")
            for first in range(0, len(vectors), CHUNK_SIZE):
                whole = QuantisedMatrix.fit(vectors[first : first + CHUNK_SIZE], vectors.shape[1])
                np.save(scratch / f"{name}-{first}-codes.npy", whole.codes)
                np.save(scratch / f"{name}-{first}-basis.npy", whole.basis)
        self.count = len(joint)

    def _read(self) -> tuple[HalfArray, HalfArray]:
        with closing(sqlite3.connect(self.database)) as connection:
            columns = zip(*connection.execute("SELECT joint, words FROM vectors"), strict=True)
            return tuple(  # type: ignore[return-value]
                np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1) for blobs in columns
            )

    def _mapped(self, name: str, width: int) -> np.ndarray:
        return np.memmap(self.scratch / f"{name}.f2", "<f2", "r").reshape(-1, width)

    def rows_in_sqlite(self) -> Scan:
        """One row per photo, exact, read for each query."""
        return lambda plan: plan.measures(SearchVectors(*self._read()))

    def float32_in_memory(self) -> Scan:
        """Everything read and converted once."""
        vectors = [
            np.fromfile(self.scratch / f"{name}.f2", "<f2").astype(np.float32).reshape(-1, width)
            for name, width in zip(("joint", "words"), self.widths, strict=True)
        ]
        return lambda plan: plan.measure(
            vectors[0] @ plan.joint_directions, vectors[1] @ plan.word_directions
        )

    def float16_file(self) -> Scan:
        """Memory-mapped, converted block by block."""
        joint = self._mapped("joint", self.widths[0])
        words = self._mapped("words", self.widths[1])

        def scan(plan: QueryPlan, part: slice) -> FloatArray:
            return plan.measures(SearchVectors(joint[part], words[part]))

        return partial(self._in_parts, scan, BLOCK_ROWS)

    def int8_file(self) -> Scan:
        """Memory-mapped, with all components."""

        def matrix(name: str, first: int) -> QuantisedMatrix:
            start = self.scratch / f"{name}-{first}"
            return QuantisedMatrix(
                np.load(f"{start}-codes.npy", "r"), np.load(f"{start}-basis.npy")
            )

        chunks = {
            first: QuantisedChunk(
                np.empty(0, np.int64), matrix("joint", first), matrix("words", first)
            )
            for first in range(0, self.count, CHUNK_SIZE)
        }

        def scan(plan: QueryPlan, part: slice) -> FloatArray:
            return chunks[part.start].measures(plan)

        return partial(self._in_parts, scan, CHUNK_SIZE)

    def int8_chunks(self) -> Scan:
        """Rows of 8,192 photos in SQLite, with few components."""
        connection = sqlite3.connect(self.database)
        cache = ChunkCache()
        return lambda plan: cache.measure_all(connection, self.model_id, plan)[1]

    def _in_parts(
        self, scan: Callable[[QueryPlan, slice], FloatArray], size: int, plan: QueryPlan
    ) -> FloatArray:
        parts = [slice(first, first + size) for first in range(0, self.count, size)]
        with ThreadPoolExecutor(common.cores()) as pool:
            return np.concatenate(list(pool.map(partial(scan, plan), parts)))

    def sizes(self) -> dict[str, int]:
        """Bytes of each format."""
        exact, chunks = 2 * self.count * sum(self.widths), -(-self.count // CHUNK_SIZE)

        def quantised(*components: int) -> int:
            bases = zip(self.widths, components, strict=True)
            basis = sum(width * (1 + some) for width, some in bases)
            return self.count * sum(components) + 4 * chunks * basis

        return {
            "rows_in_sqlite": exact, "float32_in_memory": exact, "float16_file": exact,
            "int8_file": quantised(*self.widths),
            "int8_chunks": quantised(JOINT_COMPONENTS, WORD_COMPONENTS) + 8 * self.count,
        }  # fmt: skip


def sqlite_vec(formats: Formats) -> Callable[[FloatArray], list[int]] | None:
    """A table of sqlite-vec with the joint vectors in int8; None if it is not installed.

    It finds nearest neighbours and nothing else, not the word head's sums of log-probabilities, so
    that it could replace a third of a scan.
    """
    try:
        import sqlite_vec as extension
    except ImportError:
        return None
    connection = sqlite3.connect(formats.scratch / "vec.db")
    if not hasattr(connection, "enable_load_extension"):
        return None  # many Pythons are built without support for extensions
    connection.enable_load_extension(True)
    extension.load(connection)
    width = formats.widths[0]
    connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS joint USING vec0 (joint int8[{width}])")
    if not connection.execute("SELECT 1 FROM joint LIMIT 1").fetchone():
        vectors = formats._mapped("joint", width)
        with connection:
            connection.executemany(
                "INSERT INTO joint (joint) VALUES (vec_int8(?))",
                (np.rint(row.astype(np.float32) * 400).clip(-127, 127).astype(np.int8).tobytes()
                 for row in vectors),
            )  # fmt: skip

    def nearest(direction: FloatArray) -> list[int]:
        asked = np.rint(direction * 400).clip(-127, 127).astype(np.int8).tobytes()
        found = connection.execute(
            "SELECT rowid FROM joint WHERE joint MATCH vec_int8(?) AND k = 500", [asked]
        )
        return [row for (row,) in found]

    return nearest


def ranked(plan: QueryPlan, measures: FloatArray) -> list[int]:
    """The photos that a search would rescore, best first by the model's measures alone."""
    scores = ScoreFusion.fit(measures, plan.measure_weights)(measures)
    return np.argsort(-scores, kind="stable")[:RESCORED].tolist()


def compare_formats(database: Path, options: argparse.Namespace) -> list[common.Row]:
    """How long each format takes to scan all photos, first and again, and what it loses."""
    model_id, planner = load_planner(options.model)
    plans = [plan for query in QUERIES if (plan := planner(query))]
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        formats = Formats(database, model_id, Path(scratch))
        exact = formats.float32_in_memory()
        wanted = [set(ranked(plan, exact(plan))[:10]) for plan in plans]
        table: list[common.Row] = []
        for name, size in formats.sizes().items():
            common.progress(name)
            first, again, shared, within = [], [], [], []
            while len(first) < options.repeats and sum(again) < MAX_SECONDS:
                seconds, scan = timed(getattr(formats, name))
                for plan, right in zip(plans, wanted, strict=True):
                    took, found = timed(partial(scan, plan))
                    again.append(took)
                    candidates = ranked(plan, found)
                    shared.append(10 * len(right.intersection(candidates[:10])))
                    within.append(10 * len(right.intersection(candidates)))
                first.append(seconds + again[-len(plans)])
            table.append(
                {
                    "format": name.replace("_", " "),
                    "MB": size / 1e6,
                    "first, s": median(first),
                    "again, s": median(again),
                    "longest, s": max(again),
                    "best ten, %": float(np.mean(shared)),
                    f"in best {RESCORED}, %": float(np.mean(within)),
                }
            )
        if nearest := sqlite_vec(formats):
            times = [
                common.seconds(partial(nearest, plan.joint_directions[:, 0]))
                for _ in range(options.repeats)
                for plan in plans
            ]
            table.append(
                {
                    "format": "sqlite-vec, int8: joint space alone",
                    "MB": (Path(scratch) / "vec.db").stat().st_size / 1e6,
                    "first, s": times[0],
                    "again, s": median(times[1:]),
                    "longest, s": max(times),
                }
            )
    return table


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of one call, and what it returned."""
    start = perf_counter()
    result = work()
    return perf_counter() - start, result


def drop_cache(database: Path) -> None:
    """Drop the file from the system's page cache, as after a reboot."""
    if hasattr(os, "posix_fadvise"):
        with database.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def whole_searches(database: Path, options: argparse.Namespace) -> list[common.Row]:
    """`captioner search` as a process, and searches of an index that is open."""
    model_id, planner = load_planner(options.model)
    folder = bundle_folder(options.model)
    words = ["--db", str(database), "--model", str(folder), "dog", "running"]

    def process(*more: str, cold: bool = False) -> float:
        if cold:
            drop_cache(database)
        return common.seconds(
            lambda: subprocess.run([*CAPTIONER, "search", *words, *more], check=True,
                                   stdout=subprocess.DEVNULL)
        )  # fmt: skip

    process()
    times = {
        "process, file in memory": [process() for _ in range(options.repeats)],
        "process, file on disk": [process(cold=True) for _ in range(options.repeats)],
        "process, --after 2012": [process("--after", "2012") for _ in range(options.repeats)],
    }
    with Index.open(database) as index:
        search = partial(index.search, planner=planner, model_id=model_id)
        search("dog")
        for query in QUERIES:
            times[f"open: {query}"] = [
                common.seconds(partial(search, query)) for _ in range(options.repeats)
            ]
        for name, filters in FILTERS.items():
            times[f"open: dog running, {name}"] = [
                common.seconds(partial(search, "dog running", filters=filters))
                for _ in range(options.repeats)
            ]
        times["open: newest after 2012"] = [
            common.seconds(partial(index.newest, filters=FILTERS["after 2012"]))
            for _ in range(options.repeats)
        ]
        times["open: --exact a man"] = [
            common.seconds(partial(search, "a man", exact=True)) for _ in range(options.repeats)
        ]
        plan = planner("dog running")
        wanted = (
            plan.joint_directions[:, 0].astype(np.float16) if plan else np.zeros(256, np.float16)
        )
        times["open: similar"] = [
            common.seconds(partial(index.similar, wanted, model_id)) for _ in range(options.repeats)
        ]
    return [
        {"search": name, "seconds": median(some), "lowest": min(some), "highest": max(some)}
        for name, some in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photos to begin with")
    parser.add_argument(
        "--seeds", type=int, default=500, metavar="N", help="how many of them are described (500)"
    )
    parser.add_argument(
        "--count", type=int, default=300_000, metavar="N",
        help="photos in the database (300,000)",
    )  # fmt: skip
    parser.add_argument("--database", type=Path, metavar="FILE", help="keep the database here")
    common.add_run_options(parser, repeats=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        database = options.database or Path(scratch) / "captioner.db"
        if not database.exists():
            build(database, options)
        with Index.open(database) as index:
            count = index.counts().described
        notes = [f"{count:,} photos, a database of {database.stat().st_size / 1e6:,.0f} MB."]
        common.report("Whole searches", whole_searches(database, options), notes,
                      as_json=options.json)  # fmt: skip
        notes = [
            "first: opened and scanned once; again: each further query. How many of the exact best "
            f"ten are among the best ten, and among the best {RESCORED}, which a search rescores "
            "by exact vectors."
        ]
        common.report("Scanning all photos", compare_formats(database, options), notes,
                      as_json=options.json)  # fmt: skip


if __name__ == "__main__":
    common.run(main)
