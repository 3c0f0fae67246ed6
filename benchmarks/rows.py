"""Training on many photos: peak memory and the time of an epoch by the number of photos.

Features are synthetic, in files as extraction leaves them; a merge decoder learns
captions of twelve words from a vocabulary of 3,000. Each number of photos has a process of
its own, whose peak of resident memory is what the system reports at its end. The epoch is the
second one: the first traces graphs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks import common

FEATURES, VIEWS, WORDS = 2048, 2, 3000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=int, nargs="+", default=[30_000, 60_000, 120_000], metavar="N",
        help="numbers of photos (30000 60000 120000)",
    )  # fmt: skip
    parser.add_argument(
        "--captions", type=int, default=5, metavar="N", help="captions of each photo (5)"
    )
    parser.add_argument(
        "--units", type=int, default=256, metavar="N", help="units of each layer (256)"
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.captions, options.units)))
        return
    rows: list[dict[str, Any]] = []
    for photos in options.photos:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.rows", "--one", str(photos),
             "--captions", str(options.captions), "--units", str(options.units)],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        rows.append(
            {
                "photos": found["photos"],
                "features, GB": found["bytes"] / 1e9,
                "peak memory, GiB": found["peak"] / 2**30,
                "epoch, s": found["seconds"],
                "processor, s": found["cpu"],
                "processor, ms a caption": 1e3 * found["cpu"] / found["captions"],
            }
        )
    notes = [f"{options.captions} captions a photo, {VIEWS} views of {FEATURES} features."]
    common.report("Training on many photos", rows, notes, as_json=options.json)


def measured(photos: int, captions: int, units: int) -> dict[str, float]:
    """Train two epochs on so many photos; the peak of resident memory, and the second's time."""
    import resource

    from captioner.model import backend  # noqa: F401 (before Keras)
    from captioner.model.decoders import merge
    from captioner.model.vocabulary import Vocabulary
    from captioner.training.corpora import Example
    from captioner.training.decoders import SentenceBatches, fit_decoder
    from captioner.training.feature_files import mapped, writing
    from captioner.training.features import CachedFeatures
    from captioner.training.fit import Schedule
    from captioner.training.progress import Silent

    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(WORDS)]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "features.npy"
        with writing({file: (photos, VIEWS, FEATURES)}) as writer:
            assert writer
            part = random.normal(size=(1000, FEATURES)).astype(np.float16)
            for start in range(0, photos * VIEWS, len(part)):
                writer.append([part[: photos * VIEWS - start]])
        features = CachedFeatures(mapped(file))
        vocabulary = Vocabulary.from_captions([" ".join(words)], minimum=1)

        def example(number: int) -> Example:
            chosen = random.integers(WORDS, size=(captions, 12))
            texts = tuple(" ".join(words[one] for one in row) for row in chosen)
            return Example(Path(f"{number}.jpg"), texts, "train")

        examples = [example(number) for number in range(photos)]
        batches = SentenceBatches(features, examples, vocabulary, seed=1)
        few = CachedFeatures(np.zeros((100, VIEWS, FEATURES), np.float16))
        dev = SentenceBatches(few, examples[:100], vocabulary, seed=1)
        sizes = merge.Sizes(embedding=units, lstm=units, fusion=units, tied=False)
        ended: list[float] = []

        def measure(arrays: Any) -> dict[str, float]:
            ended.append(process_time())
            return {}

        _, history = fit_decoder(
            batches, vocabulary, "merge", sizes,
            Schedule(2, batches.steps, 1e-3),
            dev=dev, measure=measure, metric="likelihood", seed=1,
            folder=Path(scratch) / "decoder-1", resume=False, progress=Silent(),
        )  # fmt: skip
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "photos": photos,
            "captions": photos * captions,
            "bytes": file.stat().st_size,
            "peak": peak * (1 if sys.platform == "darwin" else 1024),
            "seconds": history[-1]["seconds"],
            "cpu": ended[1] - ended[0],
        }


if __name__ == "__main__":
    common.run(main)
