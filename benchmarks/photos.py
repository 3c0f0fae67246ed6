"""(e) The cost of reading photos: decoding, metadata, and walking folders.

- decode: one photo of 0.05, 0.2 and 12 megapixels from memory to the model input, on one core:
  as captioner does it (a JPEG is decoded at the scale that is needed), and at full scale, with the
  same resize rule;
- facts: the share of decoding that reading EXIF, XMP and IPTC takes;
- sandbox: the same photo decoded in a worker process, as rare formats and suspicious files are;
- walk: finding the files of a synthetic tree, compared with bare `os.scandir` and `stat`.

Times are CPU seconds of this process, which other processes hardly affect; for the sandbox, which
waits for another process, they are wall-clock time.
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
from captioner.photos.decode import decode, model_input, upright
from captioner.photos.facts import read_facts
from captioner.photos.sandbox import decode_in_sandbox
from captioner.photos.walk import walk

SIZES = {"0.05 MP": (260, 195), "0.2 MP": (500, 375), "12 MP": (4000, 3000)}
SIDE = 224
ROUNDS = 5
"""Runs of which the fastest counts."""


def jpeg(width: int, height: int) -> bytes:
    """A JPEG as from a camera: detail at every scale; date, camera, lens and place in EXIF."""
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


def fastest(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Milliseconds of the fastest of `ROUNDS` runs."""
    times = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        times.append(clock() - start)
    return 1000 * min(times)


def decode_full_scale(content: bytes) -> object:
    """Decode every pixel before resizing."""
    return model_input(upright(Image.open(io.BytesIO(content))), SIDE)


def decode_as_captioner(content: bytes) -> object:
    return decode(io.BytesIO(content), "JPEG", SIDE, lambda decoded, stored: None)


def decoding(repeats: int) -> list[common.Row]:
    rows: list[common.Row] = []
    for name, size in SIZES.items():
        content = jpeg(*size)
        image = Image.open(io.BytesIO(content))
        figures = common.side_by_side(
            repeats,
            {
                f"{name} full scale": lambda _, c=content: fastest(
                    lambda: decode_full_scale(c), process_time
                ),
                name: lambda _, c=content: fastest(lambda: decode_as_captioner(c), process_time),
                f"{name} facts": lambda _, i=image: fastest(
                    lambda: read_facts(i, io.BytesIO()), process_time
                ),
                f"{name} sandbox": lambda _, c=content: fastest(
                    lambda: decode_in_sandbox([c], "JPEG", SIDE), perf_counter
                ),
            },
        )
        full, ours, facts, sandbox = figures.values()
        rows += [
            {"what": f"decode {name}, full scale", "ms": median(full)},
            {
                "what": f"decode {name}",
                "ms": median(ours),
                **common.ratio(full, ours, "× faster than full scale"),
            },
            {
                "what": f"facts {name}",
                "ms": median(facts),
                "share of decoding": median(facts) / median(ours),
            },
            {"what": f"decode {name}, sandbox", "ms": median(sandbox)},
        ]
    return rows


def bare(folder: str) -> int:
    """Count the files below a folder with bare `os.scandir` and `stat`."""
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
                "scandir": lambda _: fastest(lambda: bare(scratch), process_time),
                "walk": lambda _: fastest(
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
    notes = [
        f"Model input of {SIDE} pixels; the fastest of {ROUNDS} runs, {options.repeats} repeats."
    ]
    common.report("Reading photos", rows, notes, as_json=options.json)


if __name__ == "__main__":
    common.run(main)
