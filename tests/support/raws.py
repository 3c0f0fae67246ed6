"""Synthetic raw photos: DNG files laid out as cameras do."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from captioner.types import PixelArray

_SIZES = {"B": 1, "s": 1, "H": 2, "I": 4, "r": 8}
_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "r": 10}


def dng(rgb: PixelArray, *, orientation: int = 1, preview: int | None = None) -> bytes:
    """A DNG whose sensor data is an image (height, width, 3), both even.

    Parameters
    ----------
    orientation
        EXIF orientation of the stored image.
    preview
        Width of its JPEG preview, pixels; no preview if None.
    """
    height, width = rgb.shape[:2]
    mosaic = np.empty((height, width), np.uint16)  # RGGB
    for row, column, band in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        linear = (rgb[row::2, column::2, band] / 255.0) ** 2.2
        mosaic[row::2, column::2] = (linear * 60_000).astype(np.uint16)
    jpeg = io.BytesIO()
    if preview:
        small = Image.fromarray(rgb).resize((preview, preview * height // width))
        small.save(jpeg, "JPEG", quality=95)
    sensor: dict[int, tuple[str, Any]] = {
        254: ("I", [0]), 256: ("I", [width]), 257: ("I", [height]), 258: ("H", [16]),
        259: ("H", [1]), 262: ("H", [32803]), 273: ("I", [0]), 277: ("H", [1]),
        278: ("I", [height]), 279: ("I", [mosaic.nbytes]), 33421: ("H", [2, 2]),
        33422: ("B", bytes([0, 1, 1, 2])), 50714: ("H", [0]), 50717: ("I", [60_000]),
    }  # fmt: skip
    whole: dict[int, tuple[str, Any]] = {
        271: ("s", b"Maker\0"), 272: ("s", b"Maker One\0"), 274: ("H", [orientation]),
        50706: ("B", bytes([1, 4, 0, 0])), 50708: ("s", b"Maker One\0"),
        50721: ("r", [1, 0, 0, 0, 1, 0, 0, 0, 1]), 50728: ("r", [1, 1, 1]), 50778: ("H", [21]),
    }  # fmt: skip
    if preview:
        whole |= {
            254: ("I", [1]), 256: ("I", [small.width]), 257: ("I", [small.height]),
            258: ("H", [8, 8, 8]), 259: ("H", [7]), 262: ("H", [6]), 273: ("I", [0]),
            277: ("H", [3]), 278: ("I", [small.height]), 279: ("I", [len(jpeg.getvalue())]),
            330: ("I", [0]),
        }  # fmt: skip
        tables = [(whole, jpeg.getvalue()), (sensor, mosaic.tobytes())]
    else:
        tables = [({**whole, **sensor}, mosaic.tobytes())]
    file = bytearray(b"II*\0" + struct.pack("<I", 8))
    below = 0
    for table, data in reversed(tables):
        start = len(file) + len(file) % 2
        file += bytes(start - len(file)) + data
        table[273] = ("I", [start])
        if below:
            table[330] = ("I", [below])
        below = _write(file, table)
    file[4:8] = struct.pack("<I", below)
    return bytes(file)


def _write(file: bytearray, table: dict[int, tuple[str, Any]]) -> int:
    """Append a directory of tags and its values to a file; its offset."""
    entries = b""
    for tag, (kind, values) in sorted(table.items()):
        if kind in "Bs":
            data = bytes(values)
        elif kind == "r":
            data = b"".join(struct.pack("<ii", value, 1) for value in values)
        else:
            data = struct.pack(f"<{len(values)}{kind}", *values)
        count = len(data) // _SIZES[kind]
        if len(data) > 4:
            file += bytes(len(file) % 2)
            data, at = struct.pack("<I", len(file)), data
            file += at
        entries += struct.pack("<HHI", tag, _TYPES[kind], count) + data.ljust(4, b"\0")
    file += bytes(len(file) % 2)
    start = len(file)
    file += struct.pack("<H", len(table)) + entries + bytes(4)
    return start
