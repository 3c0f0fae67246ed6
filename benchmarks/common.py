"""What the benchmarks share: photos to work on, timing side by side, and tables.

Absolute times drift on shared machines, by the hour and by the minute. So whatever is compared runs
in turn, A B A B …, each repeat gives a ratio of its own, and the median of these is reported beside
the lowest and the highest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from PIL import Image

from captioner.errors import CaptionerError
from captioner.photos.walk import walk
from captioner.types import Photo

Row = Mapping[str, str | float | None]
"""A row of a table, by column. Numbers are shown with three digits; None leaves the cell empty."""

SEED_SIZE = 299
"""Side of the square, pixels, that the seeds' Xception takes: its published size."""


def arguments(description: str | None, *, count: int, repeats: int) -> argparse.ArgumentParser:
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="photos to work on, in place of CAPTIONER_DATA/Images, ../shared/flickr8k/Images "
        "or, where neither is there, cuttings of scikit-image's pictures",
    )
    parser.add_argument(
        "--count", type=int, default=count, metavar="N", help=f"how many photos ({count})"
    )
    add_run_options(parser, repeats=repeats)
    return parser


def add_run_options(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    """Options that concern any run, with photos or without."""
    parser.add_argument(
        "--repeats",
        type=int,
        default=repeats,
        metavar="N",
        help=f"how often each is measured, in turn ({repeats})",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="bundle, in place of the one that ships"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")


@contextmanager
def photos(folder: Path | None, count: int) -> Iterator[list[Photo]]:
    """The first `count` photos of a folder, read once so that nobody pays for the disk.

    Raises
    ------
    SystemExit
        Where the folder named holds fewer.
    """
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        if folder is None:
            folder = _usual_folder() or _cuttings(Path(scratch), count)
        found = [photo for photo in walk([folder]) if isinstance(photo, Photo)][:count]
        if len(found) < count:
            sys.exit(f"{folder} holds {len(found)} photos: name another or lower --count.")
        for photo in found:
            photo.path.read_bytes()
        yield found


def _usual_folder() -> Path | None:
    beside = Path(__file__).resolve().parents[2] / "shared/flickr8k"
    folder = Path(os.environ.get("CAPTIONER_DATA", beside)) / "Images"
    return folder if folder.is_dir() else None


def _cuttings(folder: Path, count: int) -> Path:
    """Fill a folder with JPEGs of 500 × 375 pixels, cut at random from free pictures."""
    from skimage import data

    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    random = np.random.default_rng(1)
    for number in range(count):
        picture = Image.fromarray(pictures[number % len(pictures)])
        share = random.uniform(0.5, 1)
        width, height = int(share * picture.width), int(share * picture.height)
        left = int(random.integers(picture.width - width + 1))
        top = int(random.integers(picture.height - height + 1))
        cutting = picture.crop((left, top, left + width, top + height)).resize((500, 375))
        cutting.save(folder / f"{number:05}.jpg", quality=90)
    return folder


def keras_on_cpu() -> bool:
    """Make Keras run on TensorFlow and the CPU, as all else here; False where it is missing.

    To be called before anything imports Keras.
    """
    os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    return importlib.util.find_spec("tensorflow") is not None


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def side_by_side(
    repeats: int, works: Mapping[str, Callable[[int], float]]
) -> dict[str, list[float]]:
    """What each of the works returns, repeat by repeat, all of them in turn in each repeat."""
    figures: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats):
        for name, work in works.items():
            progress(f"{repeat + 1} of {repeats}: {name}")
            figures[name].append(work(repeat))
    progress("")
    return figures


def progress(text: str) -> None:
    """Say on a terminal's last line what is being measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def ratio(of: Sequence[float], to: Sequence[float], name: str = "ratio") -> dict[str, float]:
    """Median, lowest and highest of the repeats' ratios, as three columns."""
    ratios = [a / b for a, b in zip(of, to, strict=True)]
    return {name: median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def report(title: str, rows: Sequence[Row], notes: Sequence[str], *, as_json: bool) -> None:
    """Print the one table of a benchmark, and below it what a reader has to know."""
    if as_json:
        figures = {"benchmark": title, "machine": machine(), "rows": rows, "notes": notes}
        print(json.dumps(figures, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        words = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False)
    console.print(table)
    for note in notes:
        console.print(note)
    console.print(machine())


def _shown(value: str | float | None) -> str:
    if isinstance(value, float):
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 4
        return f"{value:,.{digits}f}"
    return "" if value is None else str(value)


def machine() -> str:
    """What it was measured on, in one line: figures mean little without it."""
    parts = [f"{cores()} cores ({_processor()})"]
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    parts.append(f"Python {platform.python_version()}")
    for package in ("numpy", "openvino", "keras", "tensorflow"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"no {package}")
    return ", ".join(parts)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def run(main: Callable[[], None]) -> None:
    """Run a benchmark's `main`; what a person can mend is one line, not a traceback."""
    try:
        main()
    except CaptionerError as error:
        sys.exit(str(error))
