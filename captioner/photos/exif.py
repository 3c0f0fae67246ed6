"""The few EXIF tags that captioner wants, read through exifread from a block made for it.

exifread reads each value of each tag, follows what refers to itself, and may be kept busy for
hours by a small damaged block. So it never sees the file: the wanted entries, at most one of each
and each of bounded length, are copied into a small block of their own, and that is what it reads.
This is also four times as fast as to let it read them all.

What it does not read at all, the texts of Windows and the comment in UTF-16 or another encoding, is
decoded here.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import exifread

from captioner.photos.xmp import utf_8_or_latin

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_IMAGE = {0x010E, 0x010F, 0x0110, 0x0132, 0x8769, 0x8825}
_EXIF = {0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0xA434}
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

_BYTES = (1, 7)
_LONG = 4
_LARGEST_PACKET = 1 << 20
_UNREAD = {
    0x9286: ("EXIF UserComment", _LONGEST),
    0x9C9B: ("Image XPTitle", _LONGEST),
    0x9C9C: ("Image XPComment", _LONGEST),
    0x9C9E: ("Image XPKeywords", _LONGEST),
    0x9C9F: ("Image XPSubject", _LONGEST),
    # In a TIFF or a raw photo, whole blocks of another kind.
    0x02BC: ("Image XMP", _LARGEST_PACKET),
    0x83BB: ("Image IPTC", _LARGEST_PACKET),
}
"""What exifread passes over, and how many bytes of it are read."""


def tags(file: BinaryIO) -> Mapping[str, Any]:
    """The wanted tags of a file that is a TIFF structure, as exifread names and reads them.

    Beside them are texts, "Image XPTitle" and the like and "EXIF UserComment", and as bytes what
    is there of "Image XMP" and "Image IPTC".

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
    found = exifread.process_file(block.whole(), details=False, extract_thumbnail=False)
    return {**found, **block.texts}


def _comment(value: bytes, order: str) -> str:
    """The text of a UserComment, in the encoding that its first eight bytes name."""
    code, text = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        # By the standard in the block's byte order, but many programs have one of their own: the
        # high bytes are those of which there are fewer, zeros alone in Latin, or one or two.
        first, second = len(set(text[::2])), len(set(text[1::2]))
        big = first < second if first != second else order == ">"
        return text.decode("utf-16-be" if big else "utf-16-le", "replace").lstrip("\ufeff")
    if code.startswith(b"JIS"):
        return text.decode("iso2022_jp", "replace")
    return utf_8_or_latin(text if code.startswith(b"ASCII") or not any(code) else value)


class _Block:
    """A TIFF structure in the making."""

    def __init__(self, file: BinaryIO, order: str) -> None:
        self._file = file
        self._order = order
        self.texts: dict[str, str | bytes] = {}
        """What is not for exifread."""
        self._new = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def copy(self, at: int, wanted: set[int]) -> int:
        """Copy a table's wanted entries with all below them; where the new table begins."""
        self._file.seek(at)
        (number,) = self._unpack("H", self._file.read(2))
        table = self._file.read(12 * min(number, _MOST_ENTRIES))
        entries: dict[int, bytes] = {}
        for entry in struct.iter_unpack(f"{self._order}HHI4s", table[: len(table) // 12 * 12]):
            tag, kind, count, value = entry
            if wanted is not _GPS:
                self._read(tag, kind, count, value)
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

    def _read(self, tag: int, kind: int, count: int, value: bytes) -> None:
        """Read an entry that exifread passes over, if it is one that is wanted."""
        name, most = _UNREAD.get(tag, ("", 0))
        if not name or name in self.texts or kind not in (*_BYTES, _TEXT, _LONG):
            return
        length = min(_SIZES[kind] * count, most)
        if length > 4:
            self._file.seek(*self._unpack("I", value))
            value = self._file.read(length)
        value = value[:length]
        if name == "EXIF UserComment":
            self.texts[name] = _comment(value, self._order)
        elif most == _LONGEST:
            self.texts[name] = value.decode("utf-16-le", "replace").partition("\0")[0]
        else:
            self.texts[name] = value

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
