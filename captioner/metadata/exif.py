"""TIFF directories, in EXIF blocks and TIFF files: read with care, changed by appending.

No byte that stands in the block moves, so that whatever points into it (maker notes, thumbnails,
strips of pixels) still finds it. Only the entry of a changed tag is patched; its value goes to the
end. Where a tag is new, the whole first directory is written again at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice

IMAGE_DESCRIPTION = 0x010E
XMP = 700
IPTC = 33723
PHOTOSHOP = 34377
DNG_VERSION = 0xC612
SUBFILE_TYPE = 0x00FE
SUB_DIRECTORIES = 0x014A
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_WINDOWS = {0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9F: "XPSubject"}

_RAW_MAGIC = (0x4F52, 0x5352, 0x55)
"""What Olympus and Panasonic write in the place of 42."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NUMBERS = {3: "H", 4: "I", 13: "I"}
_POINTERS = (_EXIF_IFD, 0x8825, 0xA005, SUB_DIRECTORIES)
_PICTURES = ((0x0111, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
"""Offsets and lengths of strips, of tiles, and of a thumbnail."""
_ENTRY = 12
_MOST_DIRECTORIES = 5000
_BLOCK_END = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a directory."""

    tag: int
    type: int
    count: int
    raw: bytes
    """The four bytes of value or offset."""
    at: int
    """Where its twelve bytes stand."""


class Tiff:
    """The first directory of a block.

    Parameters
    ----------
    lenient
        For reading alone: a directory may be empty, or lack the pointer to the one after it.

    Raises
    ------
    Refused
        Where it is not classic TIFF, or does not add up.
    """

    def __init__(self, data: bytes, *, lenient: bool = False) -> None:
        self.data = data
        self._lenient = lenient
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if not order or len(data) < 8:
            raise Refused(Reason.MALFORMED, "no TIFF header")
        self._order = order
        (magic,) = self.unpack("H", 2)
        if magic == 43:
            raise Refused(Reason.BIG_TIFF)
        if magic != 42 and not (lenient and magic in _RAW_MAGIC):
            raise Refused(Reason.MALFORMED, "no TIFF header")
        (self._first,) = self.unpack("I", 4)
        self.fields, self._next = self._directory(self._first)

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        """Numbers at a place, in the block's byte order."""
        try:
            return struct.unpack_from(self._order + form, self.data, at)
        except struct.error as error:
            raise Refused(Reason.MALFORMED, "a TIFF directory is cut off") from error

    def value(self, tag: int) -> bytes | None:
        """The bytes of a tag's value; None where the tag is absent."""
        return self._value(self.fields, tag)

    def has(self, tag: int) -> bool:
        """Whether a tag is there."""
        return any(field.tag == tag for field in self.fields)

    def values(self, tag: int) -> list[bytes]:
        """The same of every entry that bears the tag, as damaged files have several."""
        return [self._bytes(field) for field in self.fields if field.tag == tag]

    def sub_values(self, tag: int) -> list[bytes]:
        """The same, of the EXIF directory."""
        pointer = next((f for f in self.fields if f.tag == _EXIF_IFD and f.count == 1), None)
        if not pointer or pointer.type not in (4, 13):
            return []
        fields, _ = self._directory(self.unpack("I", pointer.at + 8)[0])
        return [self._bytes(field) for field in fields if field.tag == tag]

    def check_all(self) -> None:
        """Follow the directories, and those below them, to all that they say and point to.

        Raises
        ------
        Refused
            Where they run in a circle, or off the block: what is put at its end would be taken for
            what is missing there.
        """
        seen: set[int] = set()
        waiting = [self._first]
        while waiting:
            at = waiting.pop()
            if at in seen or len(seen) > _MOST_DIRECTORIES:
                raise Refused(Reason.TIFF_LOOP)
            seen.add(at)
            fields, after = self._directory(at)
            waiting += [after] if after else []
            for field in fields:
                if field.tag in _POINTERS:
                    waiting += self._numbers(fields, field.tag)
                else:
                    self._value(fields, field.tag)
            for offsets, lengths in _PICTURES:
                starts, sizes = self._numbers(fields, offsets), self._numbers(fields, lengths)
                if any(a + b > len(self.data) for a, b in zip(starts, sizes, strict=False)):
                    raise Refused(Reason.MALFORMED, "a part of the picture is missing")

    def set(self, values: Mapping[int, tuple[int, bytes]]) -> list[Splice]:
        """The splices that give tags of the first directory new values (TIFF type and bytes).

        The block must have passed `check_all`.

        Raises
        ------
        Refused
            Where a tag stands twice, or the block would outgrow its offsets.
        """
        fields = {field.tag: field for field in self.fields}
        if len(fields) != len(self.fields):
            raise Refused(Reason.DUPLICATE_TAGS)
        end = len(self.data)
        appended = b""
        splices = []
        for tag, (kind, value) in values.items():
            raw = value.ljust(4, b"\0")
            if len(value) > 4:
                appended += b"\0" * ((end + len(appended)) % 2)
                raw = struct.pack(self._order + "I", end + len(appended))
                appended += value
            old = fields.get(tag)
            count = len(value)
            new = fields[tag] = Field(tag, kind, count, raw, old.at if old else -1)
            if old:
                splices.append(Splice(old.at, old.at + _ENTRY, self._pack(new)))
        if any(field.at < 0 for field in fields.values()):
            splices.clear()
            appended += b"\0" * ((end + len(appended)) % 2)
            splices.append(Splice(4, 8, struct.pack(self._order + "I", end + len(appended))))
            appended += struct.pack(self._order + "H", len(fields))
            appended += b"".join(self._pack(fields[tag]) for tag in sorted(fields))
            appended += struct.pack(self._order + "I", self._next)
        if end + len(appended) > _BLOCK_END:
            raise Refused(Reason.TOO_LARGE)
        return [*splices, Splice(end, end, appended)] if appended else splices

    def others(self, *tags: int) -> list[tuple[int, int, int, bytes]]:
        """All entries of the first directory but these, for a comparison of before and after."""
        return [(f.tag, f.type, f.count, f.raw) for f in self.fields if f.tag not in tags]

    def _pack(self, field: Field) -> bytes:
        head = struct.pack(self._order + "HHI", field.tag, field.type, field.count)
        return head + field.raw

    def _directory(self, at: int) -> tuple[list[Field], int]:
        if at < 8:
            raise Refused(Reason.MALFORMED, "a TIFF directory is out of place")
        (number,) = self.unpack("H", at)
        after = 0
        if not self._lenient or at + 6 + _ENTRY * number <= len(self.data):
            (after,) = self.unpack("I", at + 2 + _ENTRY * number)
        fields = []
        for entry in range(at + 2, at + 2 + _ENTRY * number, _ENTRY):
            tag, kind, count = self.unpack("HHI", entry)
            fields.append(Field(tag, kind, count, self.data[entry + 8 : entry + 12], entry))
        if not (fields or self._lenient):
            raise Refused(Reason.MALFORMED, "a TIFF directory is empty")
        return fields, after

    def _numbers(self, fields: list[Field], tag: int) -> list[int]:
        """A tag's value as whole numbers; none where it is absent, or no such numbers."""
        kind = next((field.type for field in fields if field.tag == tag), 0)
        if kind not in _NUMBERS:
            return []
        raw = self._value(fields, tag) or b""
        return [number for (number,) in struct.iter_unpack(self._order + _NUMBERS[kind], raw)]

    def _value(self, fields: list[Field], tag: int) -> bytes | None:
        return next((self._bytes(field) for field in fields if field.tag == tag), None)

    def _bytes(self, field: Field) -> bytes:
        length = _SIZES.get(field.type, 1) * field.count
        if length <= 4:
            return field.raw[:length]
        (at,) = self.unpack("I", field.at + 8)
        if at + length > len(self.data):
            raise Refused(Reason.MALFORMED, "a value lies beyond the block")
        return self.data[at : at + length]


def texts(block: bytes) -> tuple[list[tuple[str, str]], list[Refused]]:
    """What a person may have written into an EXIF block: field and text, blank ones included.

    And why some of it could not be read, although it is there.
    """
    found: list[tuple[str, str]] = []
    unread: list[Refused] = []
    if not block.strip(b"\0"):
        return found, unread
    try:
        tiff = Tiff(block, lenient=True)
    except Refused as error:
        return found, [error]

    def read(name: str, values: Callable[[int], list[bytes]], tag: int) -> None:
        try:
            found.extend((f"EXIF {name}", _text_of(tag, raw, tiff)) for raw in values(tag))
        except Refused as error:
            unread.append(Refused(error.reason, f"EXIF {name}"))

    read("ImageDescription", tiff.values, IMAGE_DESCRIPTION)
    for tag, name in _WINDOWS.items():
        read(name, tiff.values, tag)
    read("UserComment", tiff.sub_values, _USER_COMMENT)
    return found, unread


def _text_of(tag: int, raw: bytes, tiff: Tiff) -> str:
    if tag in _WINDOWS:
        return raw.decode("utf-16-le", "replace").strip("\0 ")
    return _comment(raw, tiff) if tag == _USER_COMMENT else _decode(raw)


def description(text: str) -> tuple[int, bytes]:
    """A text as the value of ImageDescription: type and bytes."""
    return 2, text.encode() + b"\0"


def same_but_description(before: bytes, after: bytes) -> bool:
    """Whether a block differs from what it was in nothing but ImageDescription.

    All bytes that stood before must stand, but those of the tag's entry.

    Raises
    ------
    Refused
        Where either of them cannot be read.
    """
    if before == after:
        return True
    one, other = Tiff(before), Tiff(after)
    entries = [field.at for field in one.fields if field.tag == IMAGE_DESCRIPTION]
    kept = bytearray(after[: len(before)])
    for at in entries:
        kept[at : at + _ENTRY] = before[at : at + _ENTRY]
    return kept == before and one.others(IMAGE_DESCRIPTION) == other.others(IMAGE_DESCRIPTION)


def _comment(raw: bytes, tiff: Tiff) -> str:
    charset, text = raw[:8], raw[8:]
    if charset.startswith(b"UNICODE"):
        # The byte order is the block's by the standard, and not in all cameras.
        order = "utf-16-be" if tiff.data[:2] == b"MM" else "utf-16-le"
        return text.decode(order, "replace").strip("\0 ")
    if charset.startswith(b"JIS"):
        return text.decode("iso2022_jp", "replace").strip("\0 ")
    if charset.startswith((b"ASCII", b"\0\0\0\0")):
        return _decode(text)
    return _decode(raw)


def _decode(raw: bytes) -> str:
    text = raw.split(b"\0")[0] if raw.strip(b"\0") else b""
    try:
        return text.decode().strip()
    except UnicodeDecodeError:
        return text.decode("latin-1").strip()
