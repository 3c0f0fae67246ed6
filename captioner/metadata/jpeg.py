"""JPEG files: metadata in the segments before the first scan, from which on no byte changes.

Most programs write metadata at the beginning, some after the tables of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from captioner.formats import jpeg
from captioner.metadata import exif
from captioner.metadata.container import Container, Edits
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice, apply, difference, shift

_MPF_ENTRIES = 0xB002
_MAX_LENGTH = 0xFFFF


class _Segment(NamedTuple):
    marker: int
    start: int
    """Offset of the marker; the length follows after 2 bytes, the payload after 4."""
    payload: bytes

    @property
    def end(self) -> int:
        return self.start + 4 + len(self.payload)


class JpegFile:
    """A JPEG file, parsed into segments up to the first scan.

    Raises
    ------
    RefusedError
        If they are invalid, or parts of the file depend on its bytes or offsets.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._segments = list(_segments(data))
        if any(s.marker == jpeg.APP11 and b"jumb" in s.payload[:64] for s in self._segments):
            raise RefusedError(RefusalReason.SIGNED)
        if data[-12:-8] in (b"AXS!", b"AXS*"):
            raise RefusedError(RefusalReason.ABSOLUTE_OFFSETS)
        packets = self._starting_with(jpeg.APP1, jpeg.XMP)
        if len(packets) > 1:
            raise RefusedError(RefusalReason.SEVERAL_XMP)
        self._xmp = packets[0] if packets else None
        # Several of either are no reason to refuse: they are read, and left as they are.
        blocks = self._starting_with(jpeg.APP1, *jpeg.EXIF)
        self._exif = blocks[0] if len(blocks) == 1 else None
        resources = self._starting_with(jpeg.APP13, jpeg.PHOTOSHOP)
        self._photoshop = resources[0] if len(resources) == 1 else None

    @property
    def xmp(self) -> bytes | None:
        """The main packet."""
        return self._xmp and self._xmp.payload[len(jpeg.XMP) :]

    @property
    def exif(self) -> bytes | None:
        """The EXIF block."""
        return self._exif and self._exif.payload[len(jpeg.EXIF[0]) :]

    @property
    def photoshop(self) -> bytes | None:
        """The image resources."""
        return self._photoshop and self._photoshop.payload[len(jpeg.PHOTOSHOP) :]

    def splices(self, edits: Edits) -> list[Splice]:
        """The splices of the file that make the changes, lengths and offsets of MPF included."""
        splices = []
        # EXIF first: what it appends comes before a segment that follows it.
        if edits.description is not None and self._exif and self.exif:
            changes = exif.description_splices(self.exif, edits.description)
            splices += _segment_splices(self._exif, len(jpeg.EXIF[0]), changes, "EXIF")
        if self._xmp:
            splices += _segment_splices(self._xmp, len(jpeg.XMP), edits.xmp, "XMP")
        elif edits.xmp:
            payload = jpeg.XMP + apply(b"", edits.xmp)
            at = self._insertion_point()
            if len(payload) > _MAX_LENGTH - 2:
                raise RefusedError(RefusalReason.NO_ROOM, "XMP")
            header = bytes((0xFF, jpeg.APP1)) + (len(payload) + 2).to_bytes(2, "big")
            splices.append(Splice(at, at, header + payload))
        if edits.photoshop is not None and self._photoshop and self.photoshop:
            changes = difference(self.photoshop, edits.photoshop)
            splices += _segment_splices(self._photoshop, len(jpeg.PHOTOSHOP), changes, "IPTC")
        return splices + self._mpf_splices(splices)

    def preserves(self, before: Container) -> bool:
        """Whether all is equal except XMP, ImageDescription, image resources and MPF offsets."""
        if not isinstance(before, JpegFile):
            return False
        return (
            self._other_segments() == before._other_segments() and self._scans() == before._scans()
        )

    def _other_segments(self) -> list[tuple[int, bytes]]:
        edited = [self._xmp, self._exif, self._photoshop]
        segments = [s for s in self._segments if not any(s is e for e in edited)]
        return [
            (
                s.marker,
                b"" if s.marker == jpeg.APP2 and s.payload.startswith(jpeg.MPF) else s.payload,
            )
            for s in segments
        ]

    def _scans(self) -> bytes:
        return self.data[self._segments[-1].end :]

    def _starting_with(self, marker: int, *identifiers: bytes) -> list[_Segment]:
        return [
            s for s in self._segments if s.marker == marker and s.payload.startswith(identifiers)
        ]

    def _insertion_point(self) -> int:
        """The offset behind JFIF and EXIF, which some programs expect at the beginning."""
        at = 2
        for segment in self._segments:
            if segment.marker == jpeg.APP0 or segment is self._exif:
                at = segment.end
            else:
                break
        return at

    def _mpf_splices(self, splices: list[Splice]) -> list[Splice]:
        """Correct the directory of further pictures (MPF), whose offsets start at its header."""
        found = self._starting_with(jpeg.APP2, jpeg.MPF)
        if not found or not splices:
            return []
        if len(found) > 1:
            raise RefusedError(RefusalReason.MALFORMED, "several MPF directories")
        header = found[0].start + 4 + len(jpeg.MPF)
        growth = sum(splice.growth for splice in splices)
        growth_behind = sum(splice.growth for splice in splices if splice.start >= header)
        block = exif.TiffBlock(found[0].payload[len(jpeg.MPF) :])
        pictures = block.value(_MPF_ENTRIES)
        if pictures is None or len(pictures) % 16 or len(pictures) <= 4:
            raise RefusedError(RefusalReason.MALFORMED, "MPF")
        (first,) = next(
            block.unpack("I", entry.position + 8)
            for entry in block.entries
            if entry.tag == _MPF_ENTRIES
        )
        corrected = []
        for at in range(first, first + len(pictures), 16):
            size, offset = block.unpack("II", at + 4)
            if at == first and size:
                corrected.append((at + 4, size + growth))
            elif offset:
                corrected.append((at + 8, offset + growth_behind))
        if any(number >= 2**32 for _, number in corrected):
            raise RefusedError(RefusalReason.TOO_LARGE)
        return [
            Splice(header + at, header + at + 4, block.pack("I", number))
            for at, number in corrected
        ]


def _segment_splices(
    segment: _Segment, prefix: int, splices: Sequence[Splice], name: str
) -> list[Splice]:
    """Splices of a segment's payload after `prefix` bytes as splices of the file.

    With the one of the segment's length.
    """
    if not splices:
        return []
    length = 2 + len(segment.payload) + sum(splice.growth for splice in splices)
    if length > _MAX_LENGTH:
        raise RefusedError(RefusalReason.NO_ROOM, name)
    at = segment.start + 2
    return [
        Splice(at, at + 2, length.to_bytes(2, "big")),
        *shift(splices, segment.start + 4 + prefix),
    ]


def _segments(data: bytes) -> Iterator[_Segment]:
    """The segments up to the header of the first scan, included."""
    at = 2
    marker = 0
    while marker != jpeg.SOS:
        if at + 4 > len(data) or data[at] != 0xFF:
            raise RefusedError(RefusalReason.MALFORMED, "JPEG segments")
        marker = data[at + 1]
        if marker == 0xFF:
            raise RefusedError(RefusalReason.FILL_BYTES)
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in jpeg.WITHOUT_LENGTH or length < 2 or at + 2 + length > len(data):
            raise RefusedError(RefusalReason.MALFORMED, "JPEG segments")
        yield _Segment(marker, at, data[at + 4 : at + 2 + length])
        at += 2 + length
