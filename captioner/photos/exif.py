"""The EXIF tags that captioner uses, read by exifread from a small block made of them.

exifread reads each value of each tag, follows references in circles, and a small damaged block can
keep it busy for hours. So it never gets the file itself: the wanted entries, at most one of each
tag and of bounded length, are copied into a block of their own, which it reads. This is also four
times as fast as letting it read all of them.

Tags that exifread does not read, the texts of Windows and UserComment in UTF-16 or JIS, are decoded
here.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import Any, BinaryIO

import exifread

from captioner.formats import tiff
from captioner.photos.xmp import MAX_PACKET_BYTES, decode_utf8_or_cp1252

logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

_IMAGE_TAGS = {tiff.IMAGE_DESCRIPTION, 0x010F, 0x0110, 0x0132, tiff.EXIF_IFD, tiff.GPS_IFD}
_EXIF_TAGS = {0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0xA434}
_GPS_TAGS = {1, 2, 3, 4}
_SUB_IFDS = {tiff.EXIF_IFD: _EXIF_TAGS, tiff.GPS_IFD: _GPS_TAGS}
"""Entries that hold the offset of another directory."""

_COPIED_TYPES = range(1, 11)
_MAX_ENTRIES = 1024
_MAX_TEXT_BYTES = 16_000
_MAX_VALUES = 8
"""Of a tag that is no text."""

_DECODED_TYPES = (tiff.BYTE, tiff.ASCII, tiff.LONG, tiff.UNDEFINED)
_DECODED_TAGS = {
    tiff.USER_COMMENT: ("EXIF UserComment", _MAX_TEXT_BYTES),
    tiff.XP_TITLE: ("Image XPTitle", _MAX_TEXT_BYTES),
    tiff.XP_COMMENT: ("Image XPComment", _MAX_TEXT_BYTES),
    tiff.XP_KEYWORDS: ("Image XPKeywords", _MAX_TEXT_BYTES),
    tiff.XP_SUBJECT: ("Image XPSubject", _MAX_TEXT_BYTES),
    # In a TIFF or a raw photo, whole blocks of another kind.
    tiff.XMP: ("Image XMP", MAX_PACKET_BYTES),
    tiff.IPTC: ("Image IPTC", MAX_PACKET_BYTES),
}
"""Tags that are read here and not by exifread: their names, and how many bytes are read."""


def read_tags(file: BinaryIO) -> Mapping[str, Any]:
    """The wanted tags of a file that is a TIFF structure, as exifread names and reads them.

    In addition, "Image XPTitle" and the like and "EXIF UserComment" as texts, "Image XMP" and
    "Image IPTC" as bytes.

    Raises
    ------
    Exception
        Of any kind, if the structure is damaged.
    """
    header = file.read(8)
    order = tiff.byte_order(header)
    if not order:
        raise ValueError("no TIFF header")
    encoding = tiff.Encoding(order)
    (first_ifd,) = encoding.unpack("I", header, encoding.first_ifd_position)
    builder = _BlockBuilder(file, encoding)
    builder.copy(first_ifd, _IMAGE_TAGS)
    found = exifread.process_file(builder.block(), details=False, extract_thumbnail=False)
    return {**found, **builder.decoded}


def _decode_comment(value: bytes, order: str) -> str:
    """The text of a UserComment, in the encoding that its first eight bytes name."""
    code, text = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        # By the standard in the block's byte order, but many programs use another. There are fewer
        # different high bytes than low ones: in Latin script only zeros, elsewhere a few.
        first, second = len(set(text[::2])), len(set(text[1::2]))
        is_big_endian = first < second if first != second else order == ">"
        encoding = "utf-16-be" if is_big_endian else "utf-16-le"
        return text.decode(encoding, "replace").lstrip("\ufeff")
    if code.startswith(b"JIS"):
        return text.decode("iso2022_jp", "replace")
    return decode_utf8_or_cp1252(text if code.startswith(b"ASCII") or not any(code) else value)


class _BlockBuilder:
    """Makes a TIFF structure of some of the entries of another."""

    def __init__(self, file: BinaryIO, encoding: tiff.Encoding) -> None:
        self._file = file
        self._encoding = encoding
        self.decoded: dict[str, str | bytes] = {}
        """Values of `_DECODED_TAGS`, by their names."""
        self._block = bytearray((b"II*\0" if encoding.order == "<" else b"MM\0*") + bytes(4))

    def copy(self, at: int, wanted: set[int]) -> int:
        """Copy a directory's wanted entries and the directories below; returns the new offset."""
        encoding = self._encoding
        self._file.seek(at)
        (number,) = encoding.unpack("H", self._file.read(2))
        table = self._file.read(encoding.entry_size * min(number, _MAX_ENTRIES))
        complete = table[: len(table) // encoding.entry_size * encoding.entry_size]
        copied: dict[int, bytes] = {}
        for entry in encoding.entries(complete):
            if wanted is not _GPS_TAGS:
                self._decode(entry)
            if (
                entry.tag in wanted
                and entry.tag not in copied
                and (packed := self._copy_entry(entry))
            ):
                copied[entry.tag] = packed
        start = len(self._block)
        self._block += encoding.pack_directory(copied.values())
        if wanted is _IMAGE_TAGS:
            self._block[4:8] = encoding.pack("I", start)
        return start

    def block(self) -> io.BytesIO:
        """The structure made so far."""
        return io.BytesIO(self._block)

    def _copy_entry(self, entry: tiff.Entry) -> bytes | None:
        """Copy what an entry refers to; the new entry, or None if it is of no use."""
        if entry.type not in _COPIED_TYPES:
            return None
        count = entry.count
        if entry.tag in _SUB_IFDS:
            (sub_ifd,) = self._encoding.unpack("I", entry.value)
            value = self._encoding.pack("I", self.copy(sub_ifd, _SUB_IFDS[entry.tag]))
        elif entry.type == tiff.ASCII or count <= _MAX_VALUES:
            count = min(count, _MAX_TEXT_BYTES)
            value = self._copy_value(tiff.TYPE_SIZES[entry.type] * count, entry.value)
        else:
            return None
        return self._encoding.pack_entry(entry.tag, entry.type, count, value)

    def _decode(self, entry: tiff.Entry) -> None:
        """Decode an entry that exifread does not read, if it is wanted."""
        name, limit = _DECODED_TAGS.get(entry.tag, ("", 0))
        if not name or name in self.decoded or entry.type not in _DECODED_TYPES:
            return
        length = min(tiff.TYPE_SIZES[entry.type] * entry.count, limit)
        value = entry.value
        if length > 4:
            self._file.seek(*self._encoding.unpack("I", value))
            value = self._file.read(length)
        value = value[:length]
        if entry.tag == tiff.USER_COMMENT:
            self.decoded[name] = _decode_comment(value, self._encoding.order)
        elif limit == _MAX_TEXT_BYTES:
            self.decoded[name] = value.decode("utf-16-le", "replace").partition("\0")[0]
        else:
            self.decoded[name] = value

    def _copy_value(self, length: int, value: bytes) -> bytes:
        if length <= 4:
            return value
        self._file.seek(*self._encoding.unpack("I", value))
        start = len(self._block)
        self._block += self._file.read(length).ljust(length, b"\0")
        return self._encoding.pack("I", start)
