"""EXIF blocks and TIFF directories, parsed strictly and changed by appending.

No byte in the block moves, so that all offsets into it (of maker notes, thumbnails, strips) stay
valid. Only the entry of a changed tag is patched; its new value is appended. For a new tag, the
first directory as a whole is appended again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from captioner.formats import tiff
from captioner.formats.tiff import Entry
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import EXIF_DESCRIPTION
from captioner.metadata.splice import Splice

_WINDOWS_TEXTS = {
    tiff.XP_TITLE: "XPTitle",
    tiff.XP_COMMENT: "XPComment",
    tiff.XP_SUBJECT: "XPSubject",
}
_NUMBER_FORMATS = {tiff.SHORT: "H", tiff.LONG: "I", tiff.IFD: "I"}
_SUB_IFDS = (tiff.EXIF_IFD, tiff.GPS_IFD, tiff.INTEROPERABILITY_IFD, tiff.SUB_IFDS)
_PICTURES = ((0x0111, 0x0117), (0x0144, 0x0145), (0x0201, 0x0202))
"""Tags of offsets and lengths of strips, of tiles, and of a thumbnail."""
_MAX_DIRECTORIES = 5000
_MAX_SIZE = 2**32 - 1


class TiffBlock:
    """The first directory of a TIFF structure.

    Parameters
    ----------
    tolerant
        For reading only: accept raw photos, an empty directory, and one without the offset of the
        next.

    Raises
    ------
    RefusedError
        If it is not classic TIFF, or invalid.
    """

    def __init__(self, data: bytes, *, tolerant: bool = False) -> None:
        self.data = data
        self._is_tolerant = tolerant
        order = tiff.byte_order(data)
        if not order or len(data) < 8:
            raise RefusedError(RefusalReason.MALFORMED, "no TIFF header")
        self._encoding = tiff.Encoding(order)
        (magic,) = self.unpack("H", 2)
        if magic == tiff.BIG_MAGIC:
            raise RefusedError(RefusalReason.BIG_TIFF)
        if magic != tiff.CLASSIC_MAGIC and not (tolerant and magic in tiff.RAW_MAGIC):
            raise RefusedError(RefusalReason.MALFORMED, "no TIFF header")
        (self._first_ifd,) = self.unpack("I", self._encoding.first_ifd_position)
        self.entries, self._next_ifd = self._directory(self._first_ifd)

    def unpack(self, format: str, position: int) -> tuple[int, ...]:
        """Read numbers in the block's byte order."""
        try:
            return self._encoding.unpack(format, self.data, position)
        except struct.error as error:
            raise RefusedError(RefusalReason.MALFORMED, "a TIFF directory is cut off") from error

    def pack(self, format: str, *numbers: int) -> bytes:
        """Encode numbers in the block's byte order."""
        return self._encoding.pack(format, *numbers)

    def value(self, tag: int) -> bytes | None:
        """The bytes of a tag's value; None if the tag is absent."""
        return self._first_value(self.entries, tag)

    def has(self, tag: int) -> bool:
        """Whether a tag is there."""
        return any(entry.tag == tag for entry in self.entries)

    def values(self, tag: int) -> list[bytes]:
        """The values of all entries with a tag; damaged files have several."""
        return [self._value(entry) for entry in self.entries if entry.tag == tag]

    def exif_values(self, tag: int) -> list[bytes]:
        """The values of all entries with a tag in the EXIF directory."""
        pointer = next((e for e in self.entries if e.tag == tiff.EXIF_IFD and e.count == 1), None)
        if not pointer or pointer.type not in (tiff.LONG, tiff.IFD):
            return []
        entries, _ = self._directory(self.unpack("I", pointer.position + 8)[0])
        return [self._value(entry) for entry in entries if entry.tag == tag]

    def validate(self) -> None:
        """Follow all directories and their sub-directories, and all offsets in them.

        Raises
        ------
        RefusedError
            If directories form a loop, or offsets lead beyond the block: what is appended would be
            taken for what is missing there.
        """
        seen: set[int] = set()
        waiting = [self._first_ifd]
        while waiting:
            at = waiting.pop()
            if at in seen or len(seen) > _MAX_DIRECTORIES:
                raise RefusedError(RefusalReason.TIFF_LOOP)
            seen.add(at)
            entries, next_ifd = self._directory(at)
            waiting += [next_ifd] if next_ifd else []
            for entry in entries:
                if entry.tag in _SUB_IFDS:
                    waiting += self._numbers(entries, entry.tag)
                else:
                    self._first_value(entries, entry.tag)
            for offsets, lengths in _PICTURES:
                starts, sizes = self._numbers(entries, offsets), self._numbers(entries, lengths)
                if any(a + b > len(self.data) for a, b in zip(starts, sizes, strict=False)):
                    raise RefusedError(RefusalReason.MALFORMED, "a part of the picture is missing")

    def set_values(self, values: Mapping[int, tuple[int, bytes]]) -> list[Splice]:
        """The splices that give tags of the first directory new values (TIFF type and bytes).

        The block must have passed `validate`.

        Raises
        ------
        RefusedError
            If a tag occurs twice, or the block would become larger than its offsets allow.
        """
        entries = {entry.tag: entry for entry in self.entries}
        if len(entries) != len(self.entries):
            raise RefusedError(RefusalReason.DUPLICATE_TAGS)
        end = len(self.data)
        appended = b""
        splices = []
        for tag, (kind, value) in values.items():
            field = value.ljust(4, b"\0")
            if len(value) > 4:
                appended += b"\0" * ((end + len(appended)) % 2)
                field = self.pack("I", end + len(appended))
                appended += value
            old = entries.get(tag)
            new = Entry(tag, kind, len(value), field, old.position if old else -1)
            entries[tag] = new
            if old:
                position = old.position
                splices.append(
                    Splice(position, position + self._encoding.entry_size, self._pack(new))
                )
        if any(entry.position < 0 for entry in entries.values()):
            splices.clear()
            appended += b"\0" * ((end + len(appended)) % 2)
            splices.append(Splice(4, 8, self.pack("I", end + len(appended))))
            appended += self._encoding.pack_directory(
                (self._pack(entries[tag]) for tag in sorted(entries)), self._next_ifd
            )
        if end + len(appended) > _MAX_SIZE:
            raise RefusedError(RefusalReason.TOO_LARGE)
        return [*splices, Splice(end, end, appended)] if appended else splices

    def other_entries(self, *tags: int) -> list[tuple[int, int, int, bytes]]:
        """All entries of the first directory except these tags, for comparison."""
        return [(e.tag, e.type, e.count, e.value) for e in self.entries if e.tag not in tags]

    def _pack(self, entry: Entry) -> bytes:
        return self._encoding.pack_entry(entry.tag, entry.type, entry.count, entry.value)

    def _directory(self, at: int) -> tuple[list[Entry], int]:
        """The entries of a directory, and the offset of the next one, 0 for none."""
        if at < 8:
            raise RefusedError(RefusalReason.MALFORMED, "a TIFF directory is out of place")
        (number,) = self.unpack("H", at)
        start = at + 2
        end = start + self._encoding.entry_size * number
        next_ifd = 0
        if not self._is_tolerant or end + 4 <= len(self.data):
            (next_ifd,) = self.unpack("I", end)
        entries = list(self._encoding.entries(self.data[start:end], start))
        if len(entries) < number:
            raise RefusedError(RefusalReason.MALFORMED, "a TIFF directory is cut off")
        if not (entries or self._is_tolerant):
            raise RefusedError(RefusalReason.MALFORMED, "a TIFF directory is empty")
        return entries, next_ifd

    def _numbers(self, entries: list[Entry], tag: int) -> list[int]:
        """A tag's value as whole numbers; none if it is absent or of another type."""
        kind = next((entry.type for entry in entries if entry.tag == tag), 0)
        if kind not in _NUMBER_FORMATS:
            return []
        value = self._first_value(entries, tag) or b""
        count = len(value) // tiff.TYPE_SIZES[kind]
        return list(self._encoding.unpack(f"{count}{_NUMBER_FORMATS[kind]}", value))

    def _first_value(self, entries: list[Entry], tag: int) -> bytes | None:
        return next((self._value(entry) for entry in entries if entry.tag == tag), None)

    def _value(self, entry: Entry) -> bytes:
        length = tiff.TYPE_SIZES.get(entry.type, 1) * entry.count
        if length <= 4:
            return entry.value[:length]
        (at,) = self.unpack("I", entry.position + 8)
        if at + length > len(self.data):
            raise RefusedError(RefusalReason.MALFORMED, "a value lies beyond the block")
        return self.data[at : at + length]


def read_texts(block: bytes) -> tuple[list[tuple[str, str]], list[RefusedError]]:
    """Field and text of what may be a caption in an EXIF block, and why some cannot be read.

    Blank texts are included.
    """
    found: list[tuple[str, str]] = []
    unreadable: list[RefusedError] = []
    if not block.strip(b"\0"):
        return found, unreadable
    try:
        parsed = TiffBlock(block, tolerant=True)
    except RefusedError as error:
        return found, [error]

    def read(field: str, values: Callable[[int], list[bytes]], tag: int) -> None:
        try:
            found.extend((field, _decode_tag(tag, value, parsed)) for value in values(tag))
        except RefusedError as error:
            unreadable.append(RefusedError(error.reason, field))

    read(EXIF_DESCRIPTION, parsed.values, tiff.IMAGE_DESCRIPTION)
    for tag, name in _WINDOWS_TEXTS.items():
        read(f"EXIF {name}", parsed.values, tag)
    read("EXIF UserComment", parsed.exif_values, tiff.USER_COMMENT)
    return found, unreadable


def description_splices(block: bytes, description: str) -> list[Splice]:
    """The splices of an EXIF block that set ImageDescription.

    The block must have passed `TiffBlock.validate`.
    """
    value = description_value(description)
    return TiffBlock(block).set_values({tiff.IMAGE_DESCRIPTION: value})


def description_value(text: str) -> tuple[int, bytes]:
    """A text as the value of ImageDescription: TIFF type and bytes."""
    return tiff.ASCII, text.encode() + b"\0"


def equal_except_description(before: bytes, after: bytes) -> bool:
    """Whether two blocks differ in nothing but ImageDescription.

    All bytes of the first must be unchanged in the second, except those of the tag's entry.

    Raises
    ------
    RefusedError
        If either of them cannot be parsed.
    """
    if before == after:
        return True
    old, new = TiffBlock(before), TiffBlock(after)
    unchanged = bytearray(after[: len(before)])
    for entry in old.entries:
        if entry.tag == tiff.IMAGE_DESCRIPTION:
            at = slice(entry.position, entry.position + 12)
            unchanged[at] = before[at]
    same_entries = old.other_entries(tiff.IMAGE_DESCRIPTION) == new.other_entries(
        tiff.IMAGE_DESCRIPTION
    )
    return unchanged == before and same_entries


def _decode_tag(tag: int, value: bytes, block: TiffBlock) -> str:
    if tag in _WINDOWS_TEXTS:
        return value.decode("utf-16-le", "replace").strip("\0 ")
    return _decode_comment(value, block) if tag == tiff.USER_COMMENT else _decode(value)


def _decode_comment(value: bytes, block: TiffBlock) -> str:
    charset, text = value[:8], value[8:]
    if charset.startswith(b"UNICODE"):
        # In the block's byte order by the standard, though some cameras use another.
        encoding = "utf-16-be" if block.data[:2] == b"MM" else "utf-16-le"
        return text.decode(encoding, "replace").strip("\0 ")
    if charset.startswith(b"JIS"):
        return text.decode("iso2022_jp", "replace").strip("\0 ")
    if charset.startswith((b"ASCII", b"\0\0\0\0")):
        return _decode(text)
    return _decode(value)


def _decode(value: bytes) -> str:
    text = value.split(b"\0")[0] if value.strip(b"\0") else b""
    try:
        return text.decode().strip()
    except UnicodeDecodeError:
        return text.decode("latin-1").strip()
