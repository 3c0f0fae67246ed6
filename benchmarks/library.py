"""(f) A large library: the time of a run with nothing to do, and the peak memory of a first run.

- Second run: `captioner index` over unchanged photos, compared with a bare walk of the same tree
  with `os.scandir` and `stat`; both with the tree in the system's cache. The photos are files of a
  few bytes, which the index knows as files that cannot be read, with one row each. The start-up of
  the process is measured separately.
- Peak memory of a first run over small pictures, and over a tenth of them, each in its own process:
  the whole pipeline with the real model.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from PIL import Image

from benchmarks import common
from captioner.deduplication import batched
from captioner.index import Index
from captioner.indexing import update
from captioner.model import DescribeOptions, load
from captioner.photos.walk import listings, walk
from captioner.types import Failure, Photo

PER_FOLDER = 200
"""Photos."""


def bare_walk(folder: Path) -> int:
    """Count the files of a tree with as little work as possible in Python."""
    files = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    entry.stat()
                    files += 1
    return files


def write_files(folder: Path, count: int) -> None:
    """Write tiny files into folders of `PER_FOLDER`."""
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:05}/IMG_{number:06}.jpg"
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"%d" % number)


def second_run(scratch: Path, count: int, repeats: int) -> list[common.Row]:
    folder = scratch / "unchanged"
    write_files(folder, count)
    with Index.open(scratch / "captioner.db", write=True) as index:
        for some in batched(walk([folder]), 1000):
            failures = (Failure(p.path, "not a photo.", p) for p in some if isinstance(p, Photo))
            index.store(list(failures))

        def run(repeat: int) -> float:
            start = perf_counter()
            summary = update(index, listings([folder]), _unloadable, roots=[folder])
            elapsed = perf_counter() - start
            if summary.unchanged != count:
                sys.exit(f"{summary} instead of {count} unchanged photos")
            return elapsed

        times = common.side_by_side(
            repeats,
            {
                "scandir and stat": lambda _: common.seconds(lambda: bare_walk(folder)),
                "walk alone": lambda _: common.seconds(lambda: sum(1 for _ in walk([folder]))),
                "captioner index, unchanged": run,
            },
        )
    first = next(iter(times.values()))
    rows: list[common.Row] = [
        {
            "what": f"{name}, {count:,} files",
            "seconds": median(each),
            "µs per file": 1e6 * median(each) / count,
            **common.ratio(each, first, "ratio"),
        }
        for name, each in times.items()
    ]
    (scratch / "empty").mkdir()
    words = ["index", scratch / "empty", "--db", scratch / "another.db"]
    command = [sys.executable, "-m", "captioner", *words]
    starts = [
        common.seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        for _ in range(repeats)
    ]
    rows.append({"what": "start-up of captioner index", "seconds": median(starts)})
    return rows


def _unloadable() -> None:  # type: ignore[misc]
    sys.exit("the model was loaded though nothing has changed")


def write_pictures(folder: Path, count: int) -> None:
    """Write JPEGs of 64 × 64 pixels, all different."""
    random = np.random.default_rng(1)
    for number in range(count):
        path = folder / f"{number // PER_FOLDER:05}/{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = random.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(picture).resize((64, 64), Image.Resampling.BICUBIC).save(path)


def peak(folder: Path, database: Path, model: Path | None) -> int:
    """Index a folder; the peak memory of the process, bytes."""
    with Index.open(database, write=True) as index:
        update(
            index,
            listings([folder]),
            lambda: load(DescribeOptions(bundle=model, device="cpu")),
            roots=[folder],
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(scratch: Path, count: int, model: Path | None) -> list[common.Row]:
    rows: list[common.Row] = []
    for number in (count // 10, count):
        common.progress(f"{number} pictures")
        folder = scratch / f"pictures {number}"
        write_pictures(folder, number)
        code = "import sys; from pathlib import Path; from benchmarks.library import peak; "
        code += "print(peak(*(Path(word) if word else None for word in sys.argv[1:])))"
        words = [folder, scratch / f"{number}.db", model or ""]
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        mebibytes = int(done.stdout) / 2**20
        rows.append(
            {
                "what": f"peak memory, {number:,} pictures",
                "seconds": perf_counter() - start,
                "MiB": mebibytes,
                "ratio": mebibytes / float(rows[0]["MiB"] or 1) if rows else 1.0,
            }
        )
    common.progress("")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000, metavar="N", help="unchanged files")
    parser.add_argument(
        "--pictures", type=int, default=20_000, metavar="N", help="pictures to index for memory"
    )
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where to put the files")
    common.add_run_options(parser, repeats=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="captioner-", dir=options.scratch) as name:
        scratch = Path(name)
        rows: list[common.Row] = []
        if options.count:
            rows += second_run(scratch, options.count, options.repeats)
        if options.pictures:
            rows += memory(scratch, options.pictures, options.model)
    notes = ["Target: unchanged at most 3 times scandir and stat; memory at most 1.1 times."]
    common.report("A large library", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
