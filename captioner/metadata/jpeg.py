"""JPEG: the segments before the first scan. Most programs put what they have to say at the front,
but some behind the picture's tables. From the scan on not a byte changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from captioner.metadata import exif
from captioner.metadata.container import Container, Edits
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice, apply, between, shifted

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = (b"Exif\0\0", b"Exif\0\xff")
_PHOTOSHOP = b"Photoshop 3.0\0"
_MPF = b"MPF\0"
_MPF_ENTRIES = 0xB002
_SOS, _APP0, _APP1, _APP2, _APP11, _APP13 = 0xDA, 0xE0, 0xE1, 0xE2, 0xEB, 0xED
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
_LONGEST = 0xFFFF


class _Segment(NamedTuple):
    marker: int
    start: int
    """Of the marker; the length follows after two bytes, the payload after four."""
    payload: bytes

    @property
    def end(self) -> int:
        return self.start + 4 + len(self.payload)


class Jpeg:
    """The segments of a JPEG file up to the picture's first scan.

    Raises
    ------
    Refused
        Where they do not add up, or something depends on the bytes or places of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._segments = list(_before_scan(data))
        if any(s.marker == _APP11 and b"jumb" in s.payload[:64] for s in self._segments):
            raise Refused(Reason.SIGNED)
        if data[-12:-8] in (b"AXS!", b"AXS*"):
            raise Refused(Reason.ABSOLUTE_OFFSETS)
        packets = self._starting(_APP1, _XMP)
        if len(packets) > 1:
            raise Refused(Reason.SEVERAL_XMP)
        self._xmp = packets[0] if packets else None
        # Several of either is no reason to refuse: they are read, and left alone.
        self._blocks = self._starting(_APP1, *_EXIF)
        self._exif = self._blocks[0] if len(self._blocks) == 1 else None
        self._resources = self._starting(_APP13, _PHOTOSHOP)
        self._photoshop = self._resources[0] if len(self._resources) == 1 else None

    @property
    def xmp(self) -> bytes | None:
        """The main packet."""
        return self._xmp and self._xmp.payload[len(_XMP) :]

    @property
    def exif(self) -> bytes | None:
        """The EXIF block."""
        return self._exif and self._exif.payload[len(_EXIF[0]) :]

    @property
    def photoshop(self) -> bytes | None:
        """The image resources."""
        return self._photoshop and self._photoshop.payload[len(_PHOTOSHOP) :]

    def put(self, edits: Edits) -> list[Splice]:
        """The splices over the file, lengths and the offsets of further pictures included."""
        splices = []
        # EXIF first: what it appends comes before a segment that follows it.
        if edits.description is not None and self._exif and self.exif:
            changes = exif.Tiff(self.exif).set(
                {exif.IMAGE_DESCRIPTION: exif.description(edits.description)}
            )
            splices += _inside(self._exif, len(_EXIF[0]), changes, "EXIF")
        if self._xmp:
            splices += _inside(self._xmp, len(_XMP), edits.xmp, "XMP")
        elif edits.xmp:
            payload = _XMP + apply(b"", edits.xmp)
            at = self._first_after_exif()
            if len(payload) > _LONGEST - 2:
                raise Refused(Reason.NO_ROOM, "XMP")
            head = bytes((0xFF, _APP1)) + (len(payload) + 2).to_bytes(2, "big")
            splices.append(Splice(at, at, head + payload))
        if edits.photoshop is not None and self._photoshop and self.photoshop:
            changes = between(self.photoshop, edits.photoshop)
            splices += _inside(self._photoshop, len(_PHOTOSHOP), changes, "IPTC")
        return splices + self._moved_pictures(splices)

    def carries(self, before: Container) -> bool:
        """Compare everything but XMP, ImageDescription, image resources and picture offsets."""
        if not isinstance(before, Jpeg):
            return False
        return self._kept() == before._kept() and self._tail() == before._tail()

    def _kept(self) -> list[tuple[int, bytes]]:
        edited = [self._xmp, self._exif, self._photoshop]
        segments = [s for s in self._segments if not any(s is e for e in edited)]
        return [
            (s.marker, b"" if s.marker == _APP2 and s.payload.startswith(_MPF) else s.payload)
            for s in segments
        ]

    def _tail(self) -> bytes:
        return self.data[self._segments[-1].end :]

    def _starting(self, marker: int, *beginnings: bytes) -> list[_Segment]:
        return [
            s for s in self._segments if s.marker == marker and s.payload.startswith(beginnings)
        ]

    def _first_after_exif(self) -> int:
        at = 2
        for segment in self._segments:
            if segment.marker == _APP0 or segment is self._exif:
                at = segment.end
            else:
                break
        return at

    def _moved_pictures(self, splices: list[Splice]) -> list[Splice]:
        """Mend the directory of further pictures (MPF), which counts from its own header."""
        found = self._starting(_APP2, _MPF)
        if not found or not splices:
            return []
        if len(found) > 1:
            raise Refused(Reason.MALFORMED, "several MPF directories")
        header = found[0].start + 4 + len(_MPF)
        growth = sum(splice.growth for splice in splices)
        behind = sum(splice.growth for splice in splices if splice.start >= header)
        block = found[0].payload[len(_MPF) :]
        directory = exif.Tiff(block)
        entries = directory.value(_MPF_ENTRIES)
        if entries is None or len(entries) % 16 or len(entries) <= 4:
            raise Refused(Reason.MALFORMED, "MPF")
        (at,) = next(
            directory.unpack("I", f.at + 8) for f in directory.fields if f.tag == _MPF_ENTRIES
        )
        order = "<" if block[:2] == b"II" else ">"
        mended = []
        for entry in range(at, at + len(entries), 16):
            size, offset = directory.unpack("II", entry + 4)
            if entry == at and size:
                mended.append((entry + 4, size + growth))
            elif offset:
                mended.append((entry + 8, offset + behind))
        if any(number >= 2**32 for _, number in mended):
            raise Refused(Reason.TOO_LARGE)
        return [
            Splice(header + place, header + place + 4, struct.pack(order + "I", number))
            for place, number in mended
        ]


def _inside(segment: _Segment, head: int, splices: Sequence[Splice], name: str) -> list[Splice]:
    """Splices of a segment's payload behind `head` bytes, with that of its length."""
    if not splices:
        return []
    length = 2 + len(segment.payload) + sum(splice.growth for splice in splices)
    if length > _LONGEST:
        raise Refused(Reason.NO_ROOM, name)
    at = segment.start + 2
    return [
        Splice(at, at + 2, length.to_bytes(2, "big")),
        *shifted(splices, segment.start + 4 + head),
    ]


def _before_scan(data: bytes) -> Iterator[_Segment]:
    at = 2
    marker = 0
    while marker != _SOS:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise Refused(Reason.MALFORMED, "JPEG segments")
        marker = data[at + 1]
        if marker == 0xFF:
            raise Refused(Reason.FILL_BYTES)
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _WITHOUT_LENGTH or length < 2 or at + 2 + length > len(data):
            raise Refused(Reason.MALFORMED, "JPEG segments")
        yield _Segment(marker, at, data[at + 4 : at + 2 + length])
        at += 2 + length
