"""TIFF headers and directories (IFDs), in TIFF files and EXIF blocks.

References: TIFF 6.0 (Adobe, 1992), Exif 2.32 (CIPA DC-008), BigTIFF (libtiff).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

CLASSIC_MAGIC = 42
BIG_MAGIC = 43
RAW_MAGIC = (0x4F52, 0x5352, 0x55)
"""What Olympus and Panasonic write instead of 42."""
HEADERS = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
"""First bytes of classic TIFF files, and of raw photos that differ from these only in the magic."""

BYTE, ASCII, SHORT, LONG, UNDEFINED, IFD, LONG8 = 1, 2, 3, 4, 7, 13, 16
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value, by the number of its type."""

SUBFILE_TYPE = 0x00FE
IMAGE_DESCRIPTION = 0x010E
SUB_IFDS = 0x014A
XMP = 0x02BC
IPTC = 0x83BB
PHOTOSHOP = 0x8649
EXIF_IFD = 0x8769
GPS_IFD = 0x8825
USER_COMMENT = 0x9286
XP_TITLE, XP_COMMENT, XP_KEYWORDS, XP_SUBJECT = 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F
INTEROPERABILITY_IFD = 0xA005
DNG_VERSION = 0xC612


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory."""

    tag: int
    type: int
    count: int
    value: bytes
    """The bytes of the value, or of the offset at which it is; fewer than usual if cut off."""
    position: int
    """Offset of the entry itself."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one file encodes numbers, entries and directories: its byte order and its variant."""

    order: Literal["<", ">"]
    """As the first character of formats of the `struct` module."""
    is_big: bool = False
    """Whether it is BigTIFF, with offsets of 8 bytes."""

    @property
    def offset_format(self) -> str:
        """Format character of offsets and of values' counts."""
        return "Q" if self.is_big else "I"

    @property
    def number_format(self) -> str:
        """Format character of a directory's number of entries."""
        return "Q" if self.is_big else "H"

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""
        return 20 if self.is_big else 12

    @property
    def first_ifd_position(self) -> int:
        """Where the header holds the offset of the first directory."""
        return 8 if self.is_big else 4

    def unpack(self, format: str, data: bytes, position: int = 0) -> tuple[int, ...]:
        """Read numbers.

        Raises
        ------
        struct.error
            If the data ends before them.
        """
        return struct.unpack_from(self.order + format, data, position)

    def pack(self, format: str, *numbers: int) -> bytes:
        """Encode numbers."""
        return struct.pack(self.order + format, *numbers)

    def entries(self, table: bytes, position: int = 0) -> Iterator[Entry]:
        """The entries of a directory of classic TIFF.

        Parameters
        ----------
        table
            What follows the number of entries. The last entry may lack bytes of its value; what is
            too short for tag, type and count is left out.
        position
            Offset of the table in the file.
        """
        size = self.entry_size
        for start in range(0, len(table) - 7, size):
            tag, kind, count = struct.unpack_from(self.order + "HHI", table, start)
            yield Entry(tag, kind, count, table[start + 8 : start + size], position + start)

    def pack_entry(self, tag: int, type: int, count: int, value: bytes) -> bytes:
        """Encode an entry; `value` is what it holds, be it the value itself or its offset."""
        return self.pack("HH" + self.offset_format, tag, type, count) + value

    def pack_directory(self, entries: Iterable[bytes], next_ifd: int = 0) -> bytes:
        """Encode a directory of encoded entries, which must be in the order of their tags."""
        packed = list(entries)
        number = self.pack(self.number_format, len(packed))
        return number + b"".join(packed) + self.pack(self.offset_format, next_ifd)


def byte_order(header: bytes) -> Literal["<", ">"] | None:
    """The byte order that the first two bytes declare; None if they declare none."""
    if header[:2] == b"II":
        return "<"
    return ">" if header[:2] == b"MM" else None
