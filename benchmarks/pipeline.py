"""(c) The throughput of the whole pipeline, compared with that of its stages alone.

In each repeat every stage processes all photos alone, with all cores to itself, and then the whole
pipeline does, from files to a new database:

- decode: files to model inputs, in as many threads as the pipeline uses;
- encode: batches in memory to features, streamed through the engine;
- describe: features in memory to captions, keywords and vectors, with an empty prefix cache;
- store: descriptions into a new database, one transaction per batch.

Two bounds. *Slowest stage*: a pipeline is at most as fast as its slowest stage, and would be as
fast with separate cores for each stage. *Sequential stages*: all stages share the same cores here,
so the realistic bound is 1 / the sum of their seconds per photo. The whole pipeline exceeds it only
by using cores that a stage leaves idle when run alone; storing, for example, uses one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import common
from benchmarks.photos import jpeg
from captioner.index import Index
from captioner.indexing import update
from captioner.model import DescribeOptions, load
from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import Listing, Photo

if TYPE_CHECKING:
    from captioner.model.describer import Model

WORKERS = common.cores() + 2
"""Decoding threads: the pipeline's default."""
STAGES = ("decode", "encode", "describe", "store")
WHOLE = "whole pipeline"
SLOWEST = "bound: slowest stage"
SEQUENTIAL = "bound: sequential stages"


def new_model(folder: Path | None) -> Model:
    """A model with an empty prefix cache and a warmed-up engine."""
    model = load(DescribeOptions(bundle=folder, device="cpu"))
    blank = np.zeros((model.batch_size, model.size, model.size, 3), np.uint8)
    for _ in model.encode([blank] * 4):
        pass
    return model


def seconds(photos: Sequence[Photo], folder: Path | None, scratch: Path) -> Iterator[float]:
    """Wall-clock time of each of `STAGES` over all photos, then of the whole pipeline."""
    model = new_model(folder)

    start = perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        pixels = list(pool.map(lambda photo: read(photo, model.size), photos))
    yield perf_counter() - start

    firsts = range(0, len(photos), model.batch_size)
    slots = [pixels[first : first + model.batch_size] for first in firsts]
    batches = [np.stack([one.rgb for one in batch]) for batch in slots]
    start = perf_counter()
    features = list(model.encode(batches))
    yield perf_counter() - start

    start = perf_counter()
    described = [model.describe(*batch) for batch in zip(slots, features, strict=True)]
    yield perf_counter() - start

    with Index.open(scratch / "alone.db", write=True) as index:
        start = perf_counter()
        for batch in described:
            index.store(batch, model.model_id)
        yield perf_counter() - start

    second_model = new_model(folder)
    with Index.open(scratch / "whole.db", write=True) as index:
        start = perf_counter()
        summary = update(index, map(Listing.of, photos), lambda: second_model, workers=WORKERS)
        yield perf_counter() - start
    if summary.described < len(photos):
        sys.exit(f"{summary.failed} of {len(photos)} photos could not be described.")


def measured(
    photos: Sequence[Photo], options: argparse.Namespace, what: str
) -> dict[str, list[float]]:
    """Photos per second of each stage, the two bounds, and the whole pipeline, by repeat."""
    rates: dict[str, list[float]] = {name: [] for name in (*STAGES, WHOLE)}
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
            times = seconds(photos, options.model, Path(scratch))
            for name, elapsed in zip(rates, times, strict=True):
                rates[name].append(len(photos) / elapsed)
                common.progress(f"{what}{repeat + 1} of {options.repeats}: {name}")
    common.progress("")
    alone = list(zip(*(rates[stage] for stage in STAGES), strict=True))
    rates[SLOWEST] = [min(each) for each in alone]
    rates[SEQUENTIAL] = [1 / sum(1 / rate for rate in each) for each in alone]
    rates[WHOLE] = rates.pop(WHOLE)
    return rates


def synthetic(folder: Path, megapixels: float, count: int) -> list[Photo]:
    """JPEGs of one size with different content hashes."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    content = jpeg(width, width * 3 // 4)
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(content + bytes(number))
    return [photo for photo in walk([folder]) if isinstance(photo, Photo)]


def by_size(options: argparse.Namespace) -> None:
    """Print a row for each size of photo."""
    rows: list[common.Row] = []
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
            photos = synthetic(Path(scratch), megapixels, options.count)
            rates = measured(photos, options, f"{megapixels:g} MP, ")
        rows.append(
            {
                "photos": f"{megapixels:g} MP",
                **{name: median(rates[name]) for name in (*STAGES, SEQUENTIAL, WHOLE)},
                **common.ratio(rates[WHOLE], rates[SEQUENTIAL], "whole ÷ bound"),
            }
        )
    notes = [
        f"Photos/s; {options.count:,} photos of each size, {options.repeats} repeats. "
        "Target: the whole pipeline at 0.9 of the bound or more."
    ]
    common.report("The pipeline by photo size", rows, notes, as_json=options.json)


def main() -> None:
    parser = common.arguments(__doc__, count=1000, repeats=3)
    parser.add_argument(
        "--megapixels", type=float, nargs="+", metavar="N",
        help="use synthetic photos of these sizes instead of a folder, one row each",
    )  # fmt: skip
    options = parser.parse_args()
    if options.megapixels:
        by_size(options)
        return
    with common.photos(options.photos, options.count) as photos:
        rates = measured(photos, options, "")
    rows: list[common.Row] = [
        {
            "stage": name,
            "photos/s": median(rates[name]),
            "ms per photo": 1000 / median(rates[name]),
            **common.ratio(rates[WHOLE], rates[name], "whole ÷ this"),
        }
        for name in rates
    ]
    slowest = min(STAGES, key=lambda stage: median(rates[stage]))
    reached = common.ratio(rates[WHOLE], rates[SEQUENTIAL])["ratio"]
    notes = [
        f"The slowest stage is {slowest}; the whole pipeline reaches {reached:.0%} of the "
        "sequential stages on the same cores.",
        f"{options.count:,} photos, {options.repeats} repeats, {WORKERS} decoding threads.",
    ]
    common.report("The pipeline and its stages", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
