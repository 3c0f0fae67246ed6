"""Chunks of PNG files and of WebP files, which are RIFF.

References: PNG (Third Edition, W3C); RIFF container of WebP (RFC 9649).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = "XML:com.adobe.xmp"
"""Keyword of the PNG text chunk that holds XMP."""
RAW_PROFILE = "raw profile type "
"""Beginning of the keywords, in lower case, under which ImageMagick keeps blocks in PNG files."""


class Chunk(NamedTuple):
    """One chunk, and where it is in the file."""

    type: bytes
    start: int
    """Offset of its header."""
    end: int
    """Offset behind its checksum or padding."""
    data: bytes


def iter_png_chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a PNG file up to IEND, or up to the first that is cut off."""
    at = len(PNG_SIGNATURE)
    while True:
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            return
        chunk = Chunk(data[at + 4 : at + 8], at, end, data[at + 8 : end - 4])
        yield chunk
        if chunk.type == b"IEND":
            return
        at = end


def riff_end(data: bytes) -> int:
    """The end of a RIFF file, by its header."""
    return 8 + int.from_bytes(data[4:8], "little")


def iter_riff_chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks of a RIFF file up to its end, or up to the first that is cut off.

    The last may lack its padding, or go beyond the end that the header gives.
    """
    at = 12
    limit = min(riff_end(data), len(data))
    while at < limit:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            return
        end = at + 8 + length + length % 2
        yield Chunk(data[at : at + 4], at, end, data[at + 8 : at + 8 + length])
        at = end


def parse_raw_profile(text: str) -> bytes:
    """The block in a text of ImageMagick: its kind, its length, and hexadecimal digits.

    Raises
    ------
    ValueError
        If the text is anything else.
    """
    _, _, digits = text.strip().split("\n", 2)
    return bytes.fromhex(digits)
