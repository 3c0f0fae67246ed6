"""WebP: XMP in a chunk of its own at the end, announced by a bit in the extended header."""

from __future__ import annotations

from captioner.metadata import exif
from captioner.metadata.container import Chunk, Container, Edits, only_xmp
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice, apply

_XMP_BIT = 0x04
_ALPHA_BIT = 0x10
_LONGEST = 2**32 - 10


class WebP:
    """The chunks of a WebP file.

    Raises
    ------
    Refused
        Where they do not add up, or are signed.
    """

    photoshop = None

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._chunks, self._end = _chunks(data)
        if any(chunk.kind == b"C2PA" for chunk in self._chunks):
            raise Refused(Reason.SIGNED)
        packets = [chunk for chunk in self._chunks if chunk.kind == b"XMP "]
        self._xmp = only_xmp(packets)
        self.xmp = self._xmp.data if self._xmp else None
        blocks = [chunk for chunk in self._chunks if chunk.kind == b"EXIF"]
        self._exif = blocks[0] if len(blocks) == 1 else None
        # Some programs put a JPEG segment's head before the block.
        self._exif_head = (
            b"Exif\0\0" if self._exif and self._exif.data.startswith(b"Exif\0\0") else b""
        )
        self.exif = self._exif.data[len(self._exif_head) :] if self._exif else None

    def put(self, edits: Edits) -> list[Splice]:
        """The splices over the file, header and lengths included."""
        splices = []
        if edits.xmp:
            chunk = _chunk(b"XMP ", apply(self.xmp or b"", edits.xmp))
            at = (self._xmp.start, self._xmp.end) if self._xmp else (self._end, self._end)
            splices.append(Splice(*at, chunk))
            splices += self._announce()
        if edits.description is not None and self._exif and self.exif:
            block = apply(
                self.exif,
                exif.Tiff(self.exif).set(
                    {exif.IMAGE_DESCRIPTION: exif.description(edits.description)}
                ),
            )
            chunk = _chunk(b"EXIF", self._exif_head + block)
            splices.append(Splice(self._exif.start, self._exif.end, chunk))
        length = self._end - 8 + sum(splice.growth for splice in splices)
        if length > _LONGEST:
            raise Refused(Reason.TOO_LARGE)
        return [Splice(4, 8, length.to_bytes(4, "little")), *splices] if splices else []

    def carries(self, before: Container) -> bool:
        """Compare all chunks but those of XMP and EXIF, and the header but for its XMP bit."""
        if not isinstance(before, WebP):
            return False
        mine, theirs = self._kept(), before._kept()
        if before._chunks[0].kind != b"VP8X":
            mine = mine[1:]
        return mine == theirs and self.data[self._end :] == before.data[before._end :]

    def _kept(self) -> list[tuple[bytes, bytes]]:
        kept = []
        for chunk in self._chunks:
            if chunk is self._xmp or chunk is self._exif:
                continue
            data = chunk.data
            if chunk.kind == b"VP8X":
                data = bytes((data[0] & ~_XMP_BIT,)) + data[1:]
            kept.append((chunk.kind, data))
        return kept

    def _announce(self) -> list[Splice]:
        """Set the bit that says that there is XMP, in a header that may have to be made."""
        first = self._chunks[0]
        if first.kind == b"VP8X":
            flags = first.data[0]
            at = first.start + 8
            return [Splice(at, at + 1, bytes((flags | _XMP_BIT,)))]
        flags = _XMP_BIT
        if first.kind == b"VP8 ":
            if first.data[3:6] != b"\x9d\x01\x2a" or len(first.data) < 10:
                raise Refused(Reason.MALFORMED, "WebP picture")
            width = int.from_bytes(first.data[6:8], "little") & 0x3FFF
            height = int.from_bytes(first.data[8:10], "little") & 0x3FFF
        elif first.kind == b"VP8L":
            if first.data[:1] != b"\x2f" or len(first.data) < 5:
                raise Refused(Reason.MALFORMED, "WebP picture")
            bits = int.from_bytes(first.data[1:5], "little")
            width = (bits & 0x3FFF) + 1
            height = (bits >> 14 & 0x3FFF) + 1
            flags |= _ALPHA_BIT if bits >> 28 & 1 else 0
        else:
            raise Refused(Reason.MALFORMED, "WebP chunks")
        if not (width and height):
            raise Refused(Reason.MALFORMED, "WebP picture")
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        header = _chunk(b"VP8X", bytes((flags, 0, 0, 0)) + size)
        return [Splice(first.start, first.start, header)]


def _chunks(data: bytes) -> tuple[list[Chunk], int]:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise Refused(Reason.FORMAT)
    end = 8 + int.from_bytes(data[4:8], "little")
    found = []
    at = 12
    while at < end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        after = at + 8 + length + length % 2
        if after > min(end, len(data)):
            raise Refused(Reason.MALFORMED, "WebP chunks")
        found.append(Chunk(data[at : at + 4], at, after, data[at + 8 : at + 8 + length]))
        at = after
    if not found or at != end or (found[0].kind == b"VP8X" and len(found[0].data) < 10):
        raise Refused(Reason.MALFORMED, "WebP chunks")
    return found, end


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
