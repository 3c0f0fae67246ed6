"""The few EXIF tags that captioner wants, read through exifread from a block made for it.

exifread reads each value of each tag, follows what refers to itself, and may be kept busy for
hours by a small damaged block. So it never sees the file: the wanted entries, at most one of each
and each of bounded length, are copied into a small block of their own, and that is what it reads.
This is also four times as fast as to let it read them all.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import exifread

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_IMAGE = {0x010E, 0x010F, 0x0110, 0x8769, 0x8825}
_EXIF = {0x9003, 0x9004, 0x9011, 0x9012, 0xA434}
_GPS = {1, 2, 3, 4}
_BELOW = {0x8769: _EXIF, 0x8825: _GPS}
"""Entries that tell where another table begins."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8}
"""Bytes of one value, by type."""
_TEXT = 2
_MOST_ENTRIES = 1024
_LONGEST = 16_000
"""Bytes of a text."""
_MOST_VALUES = 8


def tags(file: BinaryIO) -> Mapping[str, Any]:
    """The wanted tags of a file that is a TIFF structure, as exifread names and reads them.

    Raises
    ------
    Exception
        Of any kind, where the structure is damaged.
    """
    head = file.read(8)
    order = {b"II": "<", b"MM": ">"}[head[:2]]
    (first,) = struct.unpack_from(f"{order}I", head, 4)
    block = _Block(file, order)
    block.copy(first, _IMAGE)
    return exifread.process_file(block.whole(), details=False, extract_thumbnail=False)


class _Block:
    """A TIFF structure in the making."""

    def __init__(self, file: BinaryIO, order: str) -> None:
        self._file = file
        self._order = order
        self._new = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def copy(self, at: int, wanted: set[int]) -> int:
        """Copy a table's wanted entries with all below them; where the new table begins."""
        self._file.seek(at)
        (number,) = self._unpack("H", self._file.read(2))
        table = self._file.read(12 * min(number, _MOST_ENTRIES))
        entries: dict[int, bytes] = {}
        for entry in struct.iter_unpack(f"{self._order}HHI4s", table[: len(table) // 12 * 12]):
            tag, kind, count, value = entry
            if tag in wanted and tag not in entries and kind in _SIZES:
                if tag in _BELOW:
                    (below,) = self._unpack("I", value)
                    value = self._pack("I", self.copy(below, _BELOW[tag]))
                elif kind == _TEXT or count <= _MOST_VALUES:
                    count = min(count, _LONGEST)
                    value = self._value(_SIZES[kind] * count, value)
                else:
                    continue
                entries[tag] = self._pack("HHI", tag, kind, count) + value
        start = len(self._new)
        self._new += self._pack("H", len(entries)) + b"".join(entries.values()) + bytes(4)
        if wanted is _IMAGE:
            self._new[4:8] = self._pack("I", start)
        return start

    def _value(self, length: int, value: bytes) -> bytes:
        if length <= 4:
            return value
        self._file.seek(*self._unpack("I", value))
        start = len(self._new)
        self._new += self._file.read(length).ljust(length, b"\0")
        return self._pack("I", start)

    def whole(self) -> io.BytesIO:
        return io.BytesIO(self._new)

    def _pack(self, form: str, *values: int) -> bytes:
        return struct.pack(self._order + form, *values)

    def _unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, data)
