"""(b) Start-up time: `captioner --help`, and a search among 10,000 photos.

Wall-clock time of processes, compared with `python -c pass` on the same interpreter, one after the
other in each repeat; and CPU time, which other processes hardly affect. The photos in the database
are synthetic, but stored like real ones, so that a search reads as much: sentences of a few words,
and random unit vectors.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks import common
from captioner.app_paths import bundle_folder
from captioner.index import Index
from captioner.model.bundle import JOINT, WORDS, Bundle
from captioner.model.vocabulary import sentence
from captioner.types import Caption, Description, FloatArray, Keyword, Photo, SearchVectors

SCRIPT = Path(sys.executable).with_name("captioner")
CAPTIONER = (
    [str(SCRIPT)]
    if SCRIPT.exists()
    else [sys.executable, "-c", "from captioner.cli import main; main()"]
)
WORDS_OF = (
    ("black", "brown", "little", "old", "small", "spotted", "white", "young"),
    ("boy", "cat", "child", "dog", "girl", "horse", "man", "woman"),
    ("eating", "jumping", "lying", "playing", "running", "sitting", "standing", "walking"),
    ("beach", "field", "grass", "park", "road", "snow", "street", "water"),
)
"""Choices for the adjective, the noun, the verb and the place of each sentence."""
FEATURE_SIZE = 2048
"""Of Xception."""
CHUNK = 500
"""Photos per transaction."""


def synthetic(bundle: Bundle, count: int) -> Iterator[list[Description]]:
    """Random descriptions with vectors of the sizes that the bundle's model gives."""
    joint_size = len(bundle.arrays(JOINT)["image.bias"])
    words_size = len(bundle.arrays(WORDS)["hidden.bias"])
    random = np.random.default_rng(1)
    for first in range(0, count, CHUNK):
        chunk = range(first, min(count, first + CHUNK))
        joint = _unit(random.normal(size=(len(chunk), joint_size)).astype(np.float32))
        hidden = _unit(np.abs(random.normal(size=(len(chunk), words_size))).astype(np.float32))
        features = random.random((len(chunk), FEATURE_SIZE), np.float32).astype(np.float16)
        described = []
        for row, number in enumerate(chunk):
            adjective, noun, verb, place = (str(random.choice(words)) for words in WORDS_OF)
            text = sentence(["a", adjective, noun, "is", verb, "in", "the", place])
            described.append(
                Description(
                    photo=Photo(Path(f"/photos/{number:06}.jpg"), 100_000 + number, number),
                    width=500,
                    height=375,
                    format="JPEG",
                    content_hash=number.to_bytes(20, "big"),
                    captions=(Caption(text, 0.8, -9.0),),
                    keywords=tuple(Keyword(word, 0.5) for word in (noun, verb, place)),
                    feature=features[row],
                    vectors=SearchVectors(
                        joint[row].astype(np.float16), hidden[row].astype(np.float16)
                    ),
                )
            )
        yield described


def _unit(vectors: FloatArray) -> FloatArray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a process, which must succeed and print something."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = perf_counter()
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    elapsed = perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode or (command[-1] != "pass" and not finished.stdout):
        sys.exit(f"{' '.join(command)} failed:\n{finished.stderr}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=int, default=10_000, metavar="N", help="photos in the database (10,000)"
    )
    common.add_run_options(parser, repeats=15)
    options = parser.parse_args()
    bundle = Bundle.open(bundle_folder(options.model))
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        database = Path(scratch) / "captioner.db"
        with Index.open(database, write=True) as index:
            for described in synthetic(bundle, options.count):
                index.store(described, bundle.model_id)
                common.progress(f"{described[-1].photo.path.stem} synthetic photos")
        # Random vectors match no query well: without the threshold there would be no results.
        search = ["search", "--db", str(database), "--model", str(bundle.folder)]
        search += ["--min-score", "0", "dog", "running"]
        commands = {
            (bare := "python -c pass"): [sys.executable, "-c", "pass"],
            "captioner --help": [*CAPTIONER, "--help"],
            "captioner search dog running": [*CAPTIONER, *search],
        }
        for command in commands.values():
            seconds(command)  # not measured: byte code is written, files are read into memory
        processor: dict[str, list[float]] = {name: [] for name in commands}

        def work(name: str, repeat: int) -> float:
            wall, own = seconds(commands[name])
            processor[name].append(own)
            return wall

        variants = {name: partial(work, name) for name in commands}
        times = common.side_by_side(options.repeats, variants)
    rows: list[common.Row] = [
        {
            "process": name,
            "seconds": median(times[name]),
            **common.ratio(times[name], times[bare], f"× {bare}"),
            "seconds more": median(a - b for a, b in zip(times[name], times[bare], strict=True)),
            "CPU seconds": median(processor[name]),
        }
        for name in commands
    ]
    started = "the installed script" if SCRIPT.exists() else "python -c, since it is not installed"
    notes = [
        f"{options.count:,} photos in the database, {options.repeats} repeats; "
        f"captioner started by {started}."
    ]
    common.report("Wall-clock time of a process", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
