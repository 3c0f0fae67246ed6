"""(l) The pipeline by cores and by executor, with the bound of its slowest stage.

For each number of cores the process is restricted to so many of them, and so is what it starts.
Each executor then describes all photos, from files to descriptions; storing them, which is the same
for all, is left out. The stages alone, with the same cores to themselves, give the bound: a
pipeline is at most as fast as its slowest stage.

Numbers of cores that the machine does not have are left out. Without Ray, so is the executor ray.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks import common

CORES = (1, 2, 4, 8, 16)
EXECUTORS = ("threads", "processes", "ray")


def measured(folder: Path | None, count: int, bundle: Path | None, executor: str) -> float:
    """Photos/s of one stage or one executor, in this process with the cores that it has."""
    from captioner import execution
    from captioner.execution.decoding import decode
    from captioner.execution.ray import RayExecutor
    from captioner.model import DescribeOptions, load
    from captioner.types import DecodedPhoto

    model = load(DescribeOptions(bundle=bundle, device="cpu"))
    with common.photos(folder, count) as photos, tempfile.TemporaryDirectory() as scratch:
        if executor in EXECUTORS:
            chosen = RayExecutor(scratch) if executor == "ray" else execution.get(executor)
            start = perf_counter()
            described = sum(1 for _ in chosen.describe(iter(photos), model))
            return described / (perf_counter() - start)
        start = perf_counter()
        with ThreadPoolExecutor(common.cores() + 2) as pool:
            decoded = list(pool.map(lambda photo: decode(photo, model.size), photos))
        seconds = {"decode": perf_counter() - start}
        readable = [one for one in decoded if isinstance(one, DecodedPhoto)]
        size = model.batch_size
        slots = [readable[first : first + size] for first in range(0, len(readable), size)]
        start = perf_counter()
        features = list(model.encode(np.stack([one.rgb for one in slot]) for slot in slots))
        seconds["encode"] = perf_counter() - start
        # One core's pace: with processes, each further core adds as much.
        some = list(islice(zip(slots, features, strict=True), 4))
        start = perf_counter()
        for slot, feature in some:
            model.describe(slot, feature)
        each = (perf_counter() - start) / sum(len(slot) for slot, _ in some)
        seconds["describe"] = each * len(readable)
        return len(readable) / seconds[executor]


def alone(cores: int, options: argparse.Namespace, what: str) -> float:
    """`measured` in a new process that may use the first so many cores."""
    words = [sys.executable, "-m", "benchmarks.scaling", "--alone", what]
    words += ["--count", str(options.count)]
    words += ["--photos", str(options.photos)] if options.photos else []
    words += ["--model", str(options.model)] if options.model else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def restrict() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    done = subprocess.run(
        words, stdout=subprocess.PIPE, check=True, text=True, env=environment,
        preexec_fn=restrict,
    )  # fmt: skip
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = common.arguments(__doc__, count=1000, repeats=3)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measured(options.photos, options.count, options.model, options.alone)))
        return
    if not hasattr(os, "sched_setaffinity"):
        sys.exit("This benchmark needs CPU affinity, which this system does not have.")
    executors = [name for name in EXECUTORS if name != "ray" or importlib.util.find_spec("ray")]
    stages = ("decode", "encode", "describe")
    rows: list[common.Row] = []
    for cores in [number for number in CORES if number <= common.cores()]:
        variants: dict[str, Callable[[int], float]] = {
            name: lambda _, name=name, cores=cores: alone(cores, options, name)  # type: ignore[misc]
            for name in (*stages, *executors)
        }
        rates = common.side_by_side(options.repeats, variants)
        paces = {name: median(rates[name]) for name in rates}
        describing = paces["describe"] * max(1, cores - 1)
        bound = min(paces["decode"], paces["encode"], describing)
        rows += [
            {
                "cores": str(cores),
                "executor": name,
                "photos/s": paces[name],
                "decode": paces["decode"],
                "encode": paces["encode"],
                "describe": describing,
                "÷ slowest stage": paces[name] / bound,
                "÷ threads": paces[name] / paces["threads"],
            }
            for name in executors
        ]
    notes = [
        f"Photos/s; {options.count:,} photos, {options.repeats} repeats, each in a new process, "
        "starting of workers included. Describing: one core's pace, times one less than the cores."
    ]
    common.report("The pipeline by cores and executor", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
