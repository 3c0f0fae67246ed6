"""(c) How near the whole pipeline comes to what its stages alone allow.

In each repeat every stage works through all photos alone, with all cores to itself, and then the
whole does, from files to a fresh database:

- decode: files to squares of pixels, in as many threads as the pipeline uses;
- encode: ready batches to features, streamed through the engine;
- describe: stored features to captions, keywords and vectors, with an empty memory of prefixes;
- store: descriptions into a fresh database, a transaction a batch.

Two bounds. *Slowest stage*: no pipeline is faster than its slowest stage, and one with cores of its
own for each stage would be as fast. *Stages in turn*: here all stages share the same cores, so the
honest bound is 1 / the sum of their seconds a photo. The whole exceeds that one only where it fills
cores that a stage leaves idle when it runs alone: storing, for one, keeps one core busy.
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
"""Threads that decode: the pipeline's own choice."""
STAGES = ("decode", "encode", "describe", "store")
WHOLE = "whole pipeline"
SLOWEST = "bound: slowest stage"
IN_TURN = "bound: stages in turn"


def fresh(folder: Path | None) -> Model:
    """A model that has described nothing yet, its engine warmed up."""
    model = load(DescribeOptions(bundle=folder, device="cpu"))
    blank = np.zeros((model.batch_size, model.size, model.size, 3), np.uint8)
    for _ in model.encode([blank] * 4):
        pass
    return model


def seconds(photos: Sequence[Photo], folder: Path | None, scratch: Path) -> Iterator[float]:
    """Wall time of each of `STAGES` over all photos, then of the whole."""
    model = fresh(folder)

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

    another = fresh(folder)
    with Index.open(scratch / "whole.db", write=True) as index:
        start = perf_counter()
        summary = update(index, map(Listing.of, photos), lambda: another, workers=WORKERS)
        yield perf_counter() - start
    if summary.described < len(photos):
        sys.exit(f"{summary.failed} of {len(photos)} photos could not be described.")


def measured(
    photos: Sequence[Photo], options: argparse.Namespace, what: str
) -> dict[str, list[float]]:
    """Photos a second of each stage, of the two bounds and, last, of the whole, by repeat."""
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
    rates[IN_TURN] = [1 / sum(1 / rate for rate in each) for each in alone]
    rates[WHOLE] = rates.pop(WHOLE)
    return rates


def invented(folder: Path, megapixels: float, count: int) -> list[Photo]:
    """JPEGs of a size, no two of which are the same file."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    content = jpeg(width, width * 3 // 4)
    for number in range(count):
        (folder / f"{number:05}.jpg").write_bytes(content + bytes(number))
    return [photo for photo in walk([folder]) if isinstance(photo, Photo)]


def by_size(options: argparse.Namespace) -> None:
    """A row for each size of photo."""
    rows: list[common.Row] = []
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
            photos = invented(Path(scratch), megapixels, options.count)
            rates = measured(photos, options, f"{megapixels:g} MP, ")
        rows.append(
            {
                "photos": f"{megapixels:g} MP",
                **{name: median(rates[name]) for name in (*STAGES, IN_TURN, WHOLE)},
                **common.ratio(rates[WHOLE], rates[IN_TURN], "whole ÷ bound"),
            }
        )
    notes = [
        f"Photos/s; {options.count:,} photos of each size, {options.repeats} repeats. "
        "Wanted: the whole at 0.9 or more of the bound."
    ]
    common.report("The pipeline by size of photo", rows, notes, as_json=options.json)


def main() -> None:
    parser = common.arguments(__doc__, count=1000, repeats=3)
    parser.add_argument(
        "--megapixels", type=float, nargs="+", metavar="N",
        help="in place of photos from a folder, made ones of these sizes, a row each",
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
            "ms a photo": 1000 / median(rates[name]),
            **common.ratio(rates[WHOLE], rates[name], "whole ÷ this"),
        }
        for name in rates
    ]
    slowest = min(STAGES, key=lambda stage: median(rates[stage]))
    reached = common.ratio(rates[WHOLE], rates[IN_TURN])["ratio"]
    notes = [
        f"The slowest stage is to {slowest}; the whole reaches {reached:.0%} of what the stages "
        "allow in turn on the same cores.",
        f"{options.count:,} photos, {options.repeats} repeats, {WORKERS} threads that decode.",
    ]
    common.report("The pipeline and its stages", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
