"""IPTC-IIM datasets, and Photoshop's image resources, which hold them in JPEG files.

References: IPTC-NAA Information Interchange Model 4.2; Adobe Photoshop File Formats Specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CHARSET = (1, 90)
UTF_8 = b"\x1b%G"
"""What the dataset of the character set holds if all texts are in UTF-8."""
TITLE = (2, 5)
KEYWORD = (2, 25)
HEADLINE = (2, 105)
CAPTION = (2, 120)
MAX_CAPTION_BYTES = 2000
MAX_KEYWORD_BYTES = 64

IPTC_RESOURCE = 0x0404
DIGEST_RESOURCE = 0x0425
"""MD5 of the IPTC block, by which programs see whether it was changed without the XMP."""
PHOTOSHOP_SIGNATURE = b"8BIM"
SIGNATURES = (PHOTOSHOP_SIGNATURE, b"PHUT", b"AgHg", b"DCSR", b"MeSa")
"""First bytes of image resources of Photoshop, PhotoDeluxe, Lightroom and others."""

_MARKER = 0x1C
_EXTENDED = 0x8000


class Dataset(NamedTuple):
    """One value of an IPTC block."""

    kind: tuple[int, int]
    """Numbers of its record and of the dataset in that record."""
    value: bytes
    is_plain: bool = True
    """Whether the value is complete and its length of the usual form, below 32,768 bytes."""


class Resource(NamedTuple):
    """One of Photoshop's image resources."""

    header: bytes
    """Signature, number and name."""
    data: bytes
    end: int
    """Offset at which it ends, padding included."""
    is_complete: bool
    """Whether the block holds all of the data."""

    @property
    def number(self) -> int:
        """What the resource is."""
        return int.from_bytes(self.header[4:6], "big")


def iter_datasets(block: bytes) -> Iterator[Dataset]:
    """The datasets of a block, up to the first bytes that are none; the last may be cut off."""
    at = 0
    while at + 5 <= len(block) and block[at] == _MARKER:
        kind = block[at + 1], block[at + 2]
        length = int.from_bytes(block[at + 3 : at + 5], "big")
        is_plain = not length & _EXTENDED
        at += 5
        if not is_plain:  # the length of the length
            size = length & ~_EXTENDED
            length = int.from_bytes(block[at : at + min(size, 8)], "big")
            at += size
        yield Dataset(kind, block[at : at + length], is_plain and at + length <= len(block))
        at += length


def iter_resources(block: bytes, signatures: tuple[bytes, ...] = SIGNATURES) -> Iterator[Resource]:
    """The image resources of a block, up to the first bytes that are none; the last may be cut off.

    Parameters
    ----------
    signatures
        Those by which a resource is recognised.
    """
    at = 0
    while block[at : at + 4].startswith(signatures):
        name = 1 + block[at + 6] if at + 6 < len(block) else 1
        start = at + 6 + name + name % 2
        length = int.from_bytes(block[start : start + 4], "big")
        is_complete = at + 7 <= len(block) and start + 4 + length <= len(block)
        end = start + 4 + length + length % 2
        data = block[start + 4 : start + 4 + length]
        yield Resource(block[at:start], data, end, is_complete)
        at = end


def truncate_caption(text: str) -> str:
    """As much of a caption as fits into its dataset in UTF-8."""
    encoded = text.encode(errors="replace")
    return encoded[:MAX_CAPTION_BYTES].decode("utf-8", "ignore").rstrip()
