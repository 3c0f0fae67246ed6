"""A small folder of photos as people have them, and of files as attackers would make them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pictures
from PIL import Image

SCRIPT = "<script>window.harmed = true</script>"
"""What must never run: a browser test looks at `window.harmed`."""
IMAGE = "<img src=x onerror=window.harmed=1>"
"""The same as a file name, which cannot contain a slash."""

CAMERAS = (("Canon", "EOS 40D"), ("NIKON", "D70"), ("Fujifilm", "X100"))
PLACES = ((48.8584, 2.2945), (-33.8568, 151.2153), (64.1466, -21.9426))
_GPS, _EXIF = 0x8825, 0x8769


def photo(
    path: Path,
    *,
    seed: int,
    taken: str | None = None,
    camera: tuple[str, str] | None = None,
    place: tuple[float, float] | None = None,
    description: str | None = None,
    size: tuple[int, int] = (320, 240),
    orientation: int | None = None,
) -> Path:
    """Write a JPEG that looks a little like a landscape, with these EXIF facts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if description:
        exif[0x010E] = description
    if orientation:
        exif[0x0112] = orientation
    if camera:
        exif[0x010F], exif[0x0110] = camera
    if taken:
        exif.get_ifd(_EXIF)[0x9003] = taken
    if place:
        exif[_GPS] = {
            1: "N" if place[0] >= 0 else "S", 2: _degrees(place[0]),
            3: "E" if place[1] >= 0 else "W", 4: _degrees(place[1]),
        }  # fmt: skip
    _landscape(seed, size).save(path, "JPEG", exif=exif, quality=80)
    return path


def _degrees(value: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(round(abs(value) * 3600, 2), 60)
    return (*map(float, divmod(minutes, 60)), seconds)


def _landscape(seed: int, size: tuple[int, int]) -> Image.Image:
    random = np.random.default_rng(seed)
    width, height = size
    sky, ground = random.integers(90, 255, 3), random.integers(0, 160, 3)
    y, x = np.mgrid[:height, :width]
    waves = sum(
        np.sin(x / width * f + p) / f for f, p in zip((3, 7, 17), random.random(3) * 6, strict=True)
    )
    horizon = height * (0.55 + 0.3 * waves)
    pixels = np.where((y < horizon)[..., None], sky, ground) * (0.7 + 0.3 * y[..., None] / height)
    return Image.fromarray(pixels.astype(np.uint8))


def ordinary(folder: Path, count: int = 30) -> list[Path]:
    """Photos of several years, cameras and places, in folders by year; a few lie on their side."""
    return [
        photo(
            folder / str(2018 + n % 7) / f"IMG_{n:04}.jpg",
            seed=n,
            taken=f"{2018 + n % 7}:{1 + n % 12:02}:{1 + n % 28:02} 12:{n % 60:02}:00",
            camera=CAMERAS[n % 3] if n % 5 else None,
            place=PLACES[n % 3] if n % 4 == 0 else None,
            size=(240, 320) if n % 6 == 1 else (320, 240),
            orientation=6 if n % 10 == 3 else None,
        )
        for n in range(count)
    ]


def hostile(folder: Path) -> list[Path]:
    """Photos with scripts in names, EXIF, XMP and a sidecar, one with control characters."""
    xmp = pictures.packet(
        "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>"
        + _escaped(f"XMP {SCRIPT}")
        + "</rdf:li></rdf:Alt></dc:description><dc:subject><rdf:Bag><rdf:li>"
        + _escaped(f"word {SCRIPT}")
        + "</rdf:li></rdf:Bag></dc:subject>"
    )
    named = photo(folder / f"{IMAGE}.jpg", seed=101, taken="2024:12:01 10:00:00")
    exif = photo(
        folder / "exif.jpg", seed=102, description=f"EXIF {SCRIPT}", taken="2024:12:02 10:00:00",
        camera=(SCRIPT, f"Camera {SCRIPT}"),
    )  # fmt: skip
    in_xmp = folder / "xmp.jpg"
    data = photo(in_xmp, seed=103, taken="2024:12:03 10:00:00").read_bytes()
    in_xmp.write_bytes(
        data[:2] + pictures.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp) + data[2:]
    )
    beside = photo(folder / "sidecar.jpg", seed=104, taken="2024:12:04 10:00:00")
    beside.with_suffix(".xmp").write_bytes(xmp)
    control = photo(
        folder / "line\nbreak \x1b[31m\u202egpj.jpg", seed=105, taken="2024:12:05 10:00:00"
    )
    return [named, exif, in_xmp, beside, control]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def unreadable(folder: Path) -> list[Path]:
    """Files that fail, each for a reason of its own, named as an attacker would."""
    folder.mkdir(parents=True, exist_ok=True)
    truncated = folder / f"truncated {IMAGE}.jpg"
    truncated.write_bytes(photo(folder / "whole.jpg", seed=106).read_bytes()[:900])
    (folder / "whole.jpg").unlink()
    empty = folder / "empty.jpg"
    empty.write_bytes(b"")
    return [truncated, empty, bomb(folder / "bomb.png")]


def bomb(path: Path, side: int = 20_000) -> Path:
    """A PNG of some kilobytes that holds `side` × `side` pixels, more than captioner decodes."""
    row = b"\0" * (1 + side // 8)
    deflate = zlib.compressobj(9)
    data = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", data),
        (b"IEND", b""),
    )  # fmt: skip
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
            for k, d in chunks
        )
    )
    return path
