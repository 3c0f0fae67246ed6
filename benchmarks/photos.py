"""(e) What reading photos costs: decoding, their facts, and finding them.

- decode: one photo of 0.05, 0.2 and 12 megapixels from memory to the model's square, on one core:
  as captioner does it (a JPEG is unpacked at the scale that is needed), and whole, by the same
  resize rule;
- facts: the share of decoding that reading EXIF, XMP and IPTC takes;
- apart: the same photo handed to a process of its own, as exotic and suspicious files are;
- walk: finding the files of a made tree, against bare `os.scandir` and `stat`.

Times are the process's own CPU seconds where it works alone, as they are hardly disturbed by
whatever else runs; for `apart`, which waits for another process, they are wall time.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
from PIL import Image

from benchmarks import common
from captioner.photos.decode import decode, square, upright
from captioner.photos.facts import read_facts
from captioner.photos.sandbox import decode_in_sandbox
from captioner.photos.walk import walk

SIZES = {"0.05 MP": (260, 195), "0.2 MP": (500, 375), "12 MP": (4000, 3000)}
SIDE = 224
ROUNDS = 5
"""Runs of which the quickest counts."""


def jpeg(width: int, height: int) -> bytes:
    """A JPEG as cameras write it: detail at every scale, EXIF with date, camera, lens and place."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(width, height)
    smooth = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(20 * x * y)], axis=2) * 80 + 128
    noise = np.random.default_rng(1).normal(0, 3, (height, width, 1))
    picture = Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Maker Model One", 1
    exif.get_ifd(0x8769).update(
        {0x9003: "2024:05:06 07:08:09", 0x9011: "+02:00", 0xA434: "Lens 24-70", 0x927C: bytes(9000)}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.3), 3: "E", 4: (13.0, 24.0, 18.0)})
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85, exif=exif)
    return file.getvalue()


def quickest(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Milliseconds of the quickest of some runs."""
    times = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        times.append(clock() - start)
    return 1000 * min(times)


def whole(content: bytes) -> object:
    """Decode every pixel before the picture is made small."""
    return square(upright(Image.open(io.BytesIO(content))), SIDE)


def here(content: bytes) -> object:
    return decode(io.BytesIO(content), "JPEG", SIDE, lambda unpacked, stored: None)


def decoding(repeats: int) -> list[common.Row]:
    rows: list[common.Row] = []
    for name, size in SIZES.items():
        content = jpeg(*size)
        image = Image.open(io.BytesIO(content))
        figures = common.side_by_side(
            repeats,
            {
                f"{name} whole": lambda _, c=content: quickest(lambda: whole(c), process_time),
                f"{name} here": lambda _, c=content: quickest(lambda: here(c), process_time),
                f"{name} facts": lambda _, i=image: quickest(
                    lambda: read_facts(i, io.BytesIO()), process_time
                ),
                f"{name} apart": lambda _, c=content: quickest(
                    lambda: decode_in_sandbox([c], "JPEG", SIDE), perf_counter
                ),
            },
        )
        full, mine, facts, apart = figures.values()
        rows += [
            {"what": f"decode {name}, whole", "ms": median(full)},
            {
                "what": f"decode {name}",
                "ms": median(mine),
                **common.ratio(full, mine, "× faster than whole"),
            },
            {
                "what": f"facts {name}",
                "ms": median(facts),
                "share of decoding": median(facts) / median(mine),
            },
            {"what": f"decode {name}, apart", "ms": median(apart)},
        ]
    return rows


def bare(folder: str) -> int:
    """Count the files below a folder by nothing but `os.scandir` and `stat`."""
    number = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                number += bare(entry.path)
            else:
                entry.stat()
                number += 1
    return number


def walking(repeats: int, files: int) -> list[common.Row]:
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        for number in range(files):
            folder = Path(scratch, f"{number // 300:04}")
            if number % 300 == 0:
                folder.mkdir()
            (folder / f"IMG_{number:06}.jpg").touch()
        figures = common.side_by_side(
            repeats,
            {
                "scandir": lambda _: quickest(lambda: bare(scratch), process_time),
                "walk": lambda _: quickest(
                    lambda: sum(1 for _ in walk([Path(scratch)])), process_time
                ),
            },
        )
    plain, ours = figures["scandir"], figures["walk"]
    return [
        {"what": f"scandir and stat, {files:,} files", "ms": median(plain)},
        {
            "what": f"walk, {files:,} files",
            "ms": median(ours),
            **common.ratio(ours, plain, "× scandir and stat"),
        },
    ]


def main() -> None:
    parser = common.arguments(__doc__, count=100_000, repeats=3)
    options = parser.parse_args()
    rows = [*decoding(options.repeats), *walking(options.repeats, options.count)]
    notes = [f"Squares of {SIDE} pixels; the quickest of {ROUNDS} runs, {options.repeats} repeats."]
    common.report("Reading photos", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
