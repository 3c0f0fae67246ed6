"""JPEG markers: unsupported variants, and files whose end is missing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress

from PIL import Image

END = b"\xff\xd9"
"""The end-of-image marker."""

# Markers of frames and scans: ITU-T T.81, table B.1.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_HIERARCHICAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF}
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_START_OF_SCAN = 0xDA
_JPEG_LS = 0xF7
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_ZEROS = 64
"""Trailing zero bytes that mean a file was not copied to its end."""

_TAILS = (b"", b"\xaa" * 512, b"\x5b\xd6" * 256, b"\x13\x37\x9c" * 200)
"""Appended to a JPEG in turn, to test whether its pixels depend on what follows."""


def unsupported_variant(content: bytes) -> str:
    """The name of a rare JPEG variant, such as "a lossless JPEG"; empty for common ones."""
    for marker, body in _segments(content):
        if marker == _JPEG_LS:
            return "a JPEG-LS picture"
        if marker in _FRAMES and len(body) > 5:
            precision, components = body[0], body[5]
            for found, name in (
                (marker in _LOSSLESS, "a lossless JPEG"),
                (marker in _HIERARCHICAL, "a hierarchical JPEG"),
                (precision in (12, 16), f"a JPEG of {precision} bits a sample"),
                (marker in _ARITHMETIC, "an arithmetic-coded JPEG"),
                (components in (2, 5), f"a JPEG of {components} colour components"),
            ):
                if found:
                    return name
            return ""
    return ""


def is_zero_filled(content: bytes) -> bool:
    """Whether the rest of the image data is zeros, as after an interrupted copy.

    A decoder takes them for image data.
    """
    end = content.rstrip(b"\0")
    return not content[-_ZEROS:].strip(b"\0") and end.rfind(END) < end.rfind(b"\xff\xda")


def with_end_marker(content: bytes) -> bytes | None:
    """Add a missing end marker; None if image data is missing as well.

    A decoder that runs out of data continues with whatever follows, so bytes appended to an
    incomplete image change its pixels. They change nothing once the image is complete.
    """
    start = content.rstrip(b"\0")  # space that a copy reserves before it writes
    if start.endswith(b"\xff"):
        start = start[:-1]
    if not _has_all_scans(start):
        return None
    results = set()
    for tail in _TAILS:
        with Image.open(io.BytesIO(start + tail + END), formats=("JPEG",)) as image:
            results.add(hash(image.tobytes()))
            if len(results) > 1:
                return None
    return start + END


def _has_all_scans(content: bytes) -> bool:
    """Whether there are scans for every coefficient of every component, to the last bit."""
    components, progressive = b"", False
    missing: set[tuple[int, int]] = set()
    for marker, body in _segments(content):
        if marker in _FRAMES and len(body) > 5:
            components, progressive = body[6::3][: body[5]], marker in _PROGRESSIVE
            missing = {(component, k) for component in components for k in range(64)}
        elif marker == _START_OF_SCAN and body:
            count = body[0]
            with suppress(IndexError):
                first, last, bits = body[1 + 2 * count : 4 + 2 * count]
                done = range(first, last + 1) if progressive else range(64)
                if not (progressive and bits & 15):
                    in_scan = body[1 : 1 + 2 * count : 2]
                    missing -= {(component, k) for component in in_scan for k in done}
    return bool(components) and not missing


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and the data of their segments, without the entropy-coded data of scans."""
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        marker = content[at + 1]
        if marker in (0x00, 0xFF):
            at += 1 + (marker == 0)
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker == 0xD9:
            return
        else:
            length = int.from_bytes(content[at + 2 : at + 4], "big")
            yield marker, content[at + 4 : at + 2 + length]
            at += 2 + max(length, 2)
