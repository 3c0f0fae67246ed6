"""Shared by the benchmarks: photos to work on, interleaved timing, and tables.

Absolute times drift on shared machines, by the hour and by the minute. So the variants compared run
alternately, A B A B …; each repeat gives one ratio, and the median of the ratios is reported with
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

PUBLISHED_SIZE = 299
"""Input width and height of Xception as published, pixels; the baselines use it."""


def arguments(description: str | None, *, count: int, repeats: int) -> argparse.ArgumentParser:
    """The options that the benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="photos to work on; default: CAPTIONER_DATA/Images, ../shared/flickr8k/Images or, if "
        "neither exists, random crops of scikit-image's sample pictures",
    )
    parser.add_argument(
        "--count", type=int, default=count, metavar="N", help=f"how many photos ({count})"
    )
    add_run_options(parser, repeats=repeats)
    return parser


def add_run_options(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    """Add the options of every benchmark, with or without photos."""
    parser.add_argument(
        "--repeats",
        type=int,
        default=repeats,
        metavar="N",
        help=f"how often each variant is measured ({repeats})",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="bundle to use instead of the one that ships"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per table")


@contextmanager
def photos(folder: Path | None, count: int) -> Iterator[list[Photo]]:
    """The first `count` photos of a folder, read once so that the disk does not count.

    Raises
    ------
    SystemExit
        If the folder has fewer.
    """
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        if folder is None:
            folder = _default_folder() or _random_crops(Path(scratch), count)
        found = [photo for photo in walk([folder]) if isinstance(photo, Photo)][:count]
        if len(found) < count:
            sys.exit(f"{folder} has {len(found)} photos: name another or lower --count.")
        for photo in found:
            photo.path.read_bytes()
        yield found


def _default_folder() -> Path | None:
    shared = Path(__file__).resolve().parents[2] / "shared/flickr8k"
    folder = Path(os.environ.get("CAPTIONER_DATA", shared)) / "Images"
    return folder if folder.is_dir() else None


def _random_crops(folder: Path, count: int) -> Path:
    """Fill a folder with JPEGs of 500 × 375 pixels, cropped at random from free pictures."""
    from skimage import data

    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    random = np.random.default_rng(1)
    for number in range(count):
        picture = Image.fromarray(pictures[number % len(pictures)])
        share = random.uniform(0.5, 1)
        width, height = int(share * picture.width), int(share * picture.height)
        left = int(random.integers(picture.width - width + 1))
        top = int(random.integers(picture.height - height + 1))
        crop = picture.crop((left, top, left + width, top + height)).resize((500, 375))
        crop.save(folder / f"{number:05}.jpg", quality=90)
    return folder


def keras_on_cpu() -> bool:
    """Make Keras use TensorFlow on the CPU; False if TensorFlow is not installed.

    Call it before anything imports Keras.
    """
    os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    return importlib.util.find_spec("tensorflow") is not None


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def side_by_side(
    repeats: int, variants: Mapping[str, Callable[[int], float]]
) -> dict[str, list[float]]:
    """Run all variants alternately: what each one returns, repeat by repeat."""
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats):
        for name, work in variants.items():
            progress(f"{repeat + 1} of {repeats}: {name}")
            figures[name].append(work(repeat))
    progress("")
    return figures


def progress(text: str) -> None:
    """Show on a terminal's last line what is being measured."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def ratio(of: Sequence[float], to: Sequence[float], name: str = "ratio") -> dict[str, float]:
    """Median, lowest and highest of the repeats' ratios, as three columns."""
    ratios = [a / b for a, b in zip(of, to, strict=True)]
    return {name: median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def report(title: str, rows: Sequence[Row], notes: Sequence[str], *, as_json: bool) -> None:
    """Print one table of a benchmark, and notes below it."""
    if as_json:
        figures = {"benchmark": title, "machine": machine(), "rows": rows, "notes": notes}
        print(json.dumps(figures, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    columns = list(dict.fromkeys(column for row in rows for column in row))
    table = Table(title=title, title_justify="left")
    for column in columns:
        is_text = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        table.add_row(*(shown(row.get(column)) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False)
    console.print(table)
    for note in notes:
        console.print(note)
    console.print(machine())


def shown(value: str | float | None) -> str:
    """A cell of a table."""
    if isinstance(value, float):
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 4
        return f"{value:,.{digits}f}"
    return "" if value is None else str(value)


def machine() -> str:
    """The machine and package versions in one line."""
    parts = [f"{cores()} cores ({_processor()})"]
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f}")
    parts.append(f"Python {platform.python_version()}")
    for package in ("numpy", "openvino", "keras", "tensorflow", "jax", "torch"):
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
    """Run a benchmark's `main`; expected errors are one line instead of a traceback."""
    try:
        main()
    except CaptionerError as error:
        sys.exit(str(error))
