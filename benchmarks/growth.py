"""(m) Libraries of 1,000, 10,000 and 100,000 photos: what each photo costs as they grow.

For each size, photos are made by cropping those at hand at random, so that no two have the same
content, and indexed by `captioner index` in a new process: photos per second, processor time per
photo, peak memory of the largest process, bytes of the index per photo. Then the same command with
nothing to do, and a search: in a new process, and in an index that is open already.

The rates of docs/scale.md are compared with these runs. The largest run takes twenty minutes on two
cores, and 3 GB of disk for photos.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from PIL import Image

from benchmarks import common

COUNTS = (1_000, 10_000, 100_000)
PER_FOLDER = 500
"""Photos."""
QUERY = "a dog runs on the beach"
SEARCHES = 20


def write_photos(folder: Path, sources: list[Path], count: int) -> None:
    """Write photos that all differ: crops of the sources, at least nine tenths as wide and high."""
    for first in range(0, count, PER_FOLDER):
        (folder / f"{first:06}").mkdir(parents=True)
    jobs = [
        (
            folder / f"{number - number % PER_FOLDER:06}/{number:06}.jpg",
            sources[number % len(sources)],
        )
        for number in range(count)
    ]
    with ProcessPoolExecutor() as pool:
        for number, _ in enumerate(pool.map(_write_crop, jobs, chunksize=100)):
            if number % 1000 == 0:
                common.progress(f"{number:,} of {count:,} photos made")


def _write_crop(job: tuple[Path, Path]) -> None:
    path, source = job
    chance = random.Random(path.name)
    with Image.open(source) as image:
        share = chance.uniform(0.9, 1)
        width, height = int(share * image.width), int(share * image.height)
        left = chance.randrange(image.width - width + 1)
        top = chance.randrange(image.height - height + 1)
        image.crop((left, top, left + width, top + height)).save(path, "JPEG", quality=90)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, of all its processes: comparable between runs on a busy machine."""
    peak: int
    """Bytes, of the largest of its processes."""


def _captioner(*words: object) -> Cost:
    """Run the command."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    code += "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
    code += "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    command = [sys.executable, "-c", code, sys.executable, "-m", "captioner", *map(str, words)]
    start = perf_counter()
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    wall = perf_counter() - start
    cpu, peak = done.stdout.splitlines()[-1].split()
    return Cost(wall, float(cpu), int(peak) * 1024)


def growth(scratch: Path, sources: list[Path], count: int, model: Path | None) -> common.Row:
    """Index so many photos and search them."""
    from captioner.index import Index
    from captioner.search import search

    folder, database = scratch / "photos", scratch / "captioner.db"
    write_photos(folder, sources, count)
    common.progress(f"indexing {count:,} photos")
    bundle = ["--model", model] if model else []
    index = ("index", folder, "--db", database, *bundle)
    first = _captioner(*index)
    again = _captioner(*index)
    found = _captioner("search", QUERY, "--db", database, *bundle)
    with Index.open(database) as opened:
        held = opened.counts().photos
        searches = [
            common.seconds(lambda: search(opened, QUERY, bundle=model)) for _ in range(SEARCHES)
        ]
    if held != count:
        sys.exit(f"{held:,} photos in the index instead of {count:,}")
    row: common.Row = {
        "photos": f"{count:,}",
        "photos/s": count / first.wall,
        "CPU ms per photo": 1000 * first.cpu / count,
        "peak MiB": first.peak / 2**20,
        "index KB per photo": database.stat().st_size / count / 1000,
        "nothing to do, s": again.wall,
        "search command, s": found.wall,
        "search, ms": 1000 * median(searches),
    }
    shutil.rmtree(folder)
    database.unlink()
    return row


def main() -> None:
    parser = common.arguments(__doc__, count=COUNTS[-1], repeats=1)
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where to put the files")
    options = parser.parse_args()
    counts = [count for count in COUNTS if count <= options.count]
    with (
        common.photos(options.photos, min(counts[-1], 5_000)) as photos,
        tempfile.TemporaryDirectory(prefix="captioner-", dir=options.scratch) as name,
    ):
        sources = [photo.path for photo in islice(photos, counts[-1])]
        os.environ["CAPTIONER_HOME"] = str(Path(name) / "home")
        _captioner("caption", sources[0])  # compiles the encoder, which is done once
        rows = [growth(Path(name), sources, count, options.model) for count in counts]
    notes = [f"{common.cores()} cores; the search: {QUERY!r}, median of {SEARCHES}."]
    common.report("Libraries as they grow", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
