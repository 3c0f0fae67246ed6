"""Fuzzing: a damaged file gives pixels or a reason, never a traceback or a hang.

A hundred damaged files by default; `CAPTIONER_TEST_MUTATIONS` sets another number, and `pytest -s`
prints the outcomes.
"""

from __future__ import annotations

import io
import os
import random
import re
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raws import dng

from captioner.errors import PhotoError
from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import DecodedPhoto, Failure, Photo

NUMBER = int(os.environ.get("CAPTIONER_TEST_MUTATIONS", "100"))


def synthetic() -> list[tuple[str, bytes]]:
    """A file of each format, in its main variants."""
    y, x = np.mgrid[:96, :128]
    rgb = np.stack([x * 2, y * 2, (x + y) % 32 * 8], axis=2).astype(np.uint8)
    image = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x0110] = 6, "A garden", "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    exif.get_ifd(0x8825).update({1: "N", 2: (9.0, 8.0, 7.0), 3: "E", 4: (9.0, 8.0, 7.0)})
    files = []
    for picture, kind, options in (
        (image, "JPEG", {"exif": exif}),
        (image, "JPEG", {"progressive": True, "exif": exif}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "MPO", {"save_all": True, "append_images": [image]}),
        (image, "PNG", {"exif": exif}),
        (image.quantize(9), "PNG", {"transparency": bytes(9)}),
        (image.convert("L").convert("I;16"), "PNG", {}),
        (image, "WEBP", {"exif": exif}),
        (image, "WEBP", {"lossless": True}),
        (image, "GIF", {"save_all": True, "append_images": [image.rotate(90)]}),
        (image, "BMP", {}),
        (image, "TIFF", {"exif": exif}),
        (image, "TIFF", {"compression": "tiff_lzw"}),
        (image, "TIFF", {"compression": "jpeg"}),
        (image.convert("1"), "TIFF", {"compression": "group4"}),
        (image.convert("F"), "TIFF", {"big_tiff": True}),
        (image, "AVIF", {"exif": exif}),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        files.append((kind, file.getvalue()))
    if find_spec("rawpy"):
        files += [("DNG", dng(rgb, preview=64)), ("DNG", dng(rgb))]
    return files


def real(folder: Path) -> list[tuple[str, bytes]]:
    chosen = ("cameras/Canon_40D.jpg", "cameras/BlueSquare.jpg", "heic/samplefilehub.heif")
    return [("real", (folder / name).read_bytes()) for name in chosen]


def damage(content: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    # Most of what matters is at the beginning.
    reach = len(damaged) if dice.random() < 0.5 else min(len(damaged), 400)
    for _ in range(dice.choice([1, 1, 2, 5, 40])):
        at = dice.randrange(reach)
        match dice.randrange(5):
            case 0:
                damaged[at : at + 1] = dice.randbytes(1)
            case 1:
                damaged[at : at + 4] = dice.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"])
            case 2:
                del damaged[at : at + dice.randrange(1, 60)]
            case 3:
                damaged[at:at] = damaged[: dice.randrange(1, 60)]
            case 4:
                damaged[at : at + 20] = dice.randbytes(20)
        reach = max(1, min(reach, len(damaged)))
        if not damaged:
            break
    if dice.random() < 0.1:
        del damaged[dice.randrange(len(damaged) + 1) :]
    return bytes(damaged)


def test_damaged_files_give_pixels_or_a_reason(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    files = synthetic()
    with suppress(pytest.skip.Exception):  # the synthetic ones suffice
        files += real(request.getfixturevalue("photos_folder"))
    dice = random.Random(0)
    outcomes: Counter[str] = Counter()
    path = tmp_path / "a.jpg"
    for number in range(NUMBER):
        kind, content = files[number % len(files)]
        path.write_bytes(damage(content, dice))
        (photo,) = walk([path])
        assert isinstance(photo, Photo)
        try:
            pixels = read(photo, 32)
        except PhotoError as error:
            assert str(error).isprintable()
            assert error.reason.endswith(".")
            outcomes[f"{kind}: {re.sub('[0-9]+', 'N', error.reason)}"] += 1
        else:
            assert pixels.rgb.shape == (32, 32, 3)
            outcomes[f"{kind}: pixels"] += 1
    for what, times in sorted(outcomes.items()):
        print(f"{times:5} {what}")


def test_every_file_in_the_folder_of_real_photos(photos_folder: Path) -> None:
    """Each file gives pixels, or a reason; `pytest -s` lists the reasons."""
    outcomes: Counter[str] = Counter()
    for found in walk([photos_folder]):
        assert not isinstance(found, Failure), found
        try:
            pixels = read(found, 32)
            assert isinstance(pixels, DecodedPhoto)
            outcomes[f"{pixels.format}: pixels"] += 1
        except PhotoError as error:
            outcomes[f"{found.path.name}: {error}"] += 1
    for what, times in sorted(outcomes.items()):
        print(f"{times:5} {what}")
    assert sum(outcomes.values()) >= 400
