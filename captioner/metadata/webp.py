"""WebP files: XMP in a chunk at the end, announced by a flag in the extended header (RFC 9649)."""

from __future__ import annotations

from captioner.formats import jpeg
from captioner.formats.chunks import Chunk, iter_riff_chunks, riff_end
from captioner.metadata import exif
from captioner.metadata.container import Container, Edits, single_xmp_chunk
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice, apply

_XMP_FLAG = 0x04
_ALPHA_FLAG = 0x10
_MAX_SIZE = 2**32 - 10


class WebPFile:
    """A WebP file, parsed into chunks.

    Raises
    ------
    RefusedError
        If they are invalid, or signed.
    """

    photoshop = None

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._chunks = _parse_chunks(data)
        self._end = riff_end(data)
        if any(chunk.type == b"C2PA" for chunk in self._chunks):
            raise RefusedError(RefusalReason.SIGNED)
        self._xmp = single_xmp_chunk([chunk for chunk in self._chunks if chunk.type == b"XMP "])
        self.xmp = self._xmp.data if self._xmp else None
        blocks = [chunk for chunk in self._chunks if chunk.type == b"EXIF"]
        self._exif = blocks[0] if len(blocks) == 1 else None
        # Some programs write the identifier of a JPEG segment before the block.
        has_identifier = self._exif and self._exif.data.startswith(jpeg.EXIF[0])
        self._exif_prefix = jpeg.EXIF[0] if has_identifier else b""
        self.exif = self._exif.data[len(self._exif_prefix) :] if self._exif else None

    def splices(self, edits: Edits) -> list[Splice]:
        """The splices of the file that make the changes, header and lengths included."""
        splices = []
        if edits.xmp:
            chunk = _pack_chunk(b"XMP ", apply(self.xmp or b"", edits.xmp))
            at = (self._xmp.start, self._xmp.end) if self._xmp else (self._end, self._end)
            splices.append(Splice(*at, chunk))
            splices += self._set_xmp_flag()
        if edits.description is not None and self._exif and self.exif:
            block = apply(self.exif, exif.description_splices(self.exif, edits.description))
            chunk = _pack_chunk(b"EXIF", self._exif_prefix + block)
            splices.append(Splice(self._exif.start, self._exif.end, chunk))
        length = self._end - 8 + sum(splice.growth for splice in splices)
        if length > _MAX_SIZE:
            raise RefusedError(RefusalReason.TOO_LARGE)
        return [Splice(4, 8, length.to_bytes(4, "little")), *splices] if splices else []

    def preserves(self, before: Container) -> bool:
        """Whether all chunks except XMP and EXIF are equal, and the header except its XMP flag."""
        if not isinstance(before, WebPFile):
            return False
        mine, theirs = self._other_chunks(), before._other_chunks()
        if before._chunks[0].type != b"VP8X":
            mine = mine[1:]
        return mine == theirs and self.data[self._end :] == before.data[before._end :]

    def _other_chunks(self) -> list[tuple[bytes, bytes]]:
        found = []
        for chunk in self._chunks:
            if chunk is self._xmp or chunk is self._exif:
                continue
            data = chunk.data
            if chunk.type == b"VP8X":
                data = bytes((data[0] & ~_XMP_FLAG,)) + data[1:]
            found.append((chunk.type, data))
        return found

    def _set_xmp_flag(self) -> list[Splice]:
        """Set the flag that announces XMP, in an extended header that may have to be added."""
        first = self._chunks[0]
        if first.type == b"VP8X":
            flags = first.data[0]
            at = first.start + 8
            return [Splice(at, at + 1, bytes((flags | _XMP_FLAG,)))]
        flags = _XMP_FLAG
        if first.type == b"VP8 ":
            if first.data[3:6] != b"\x9d\x01\x2a" or len(first.data) < 10:
                raise RefusedError(RefusalReason.MALFORMED, "WebP picture")
            width = int.from_bytes(first.data[6:8], "little") & 0x3FFF
            height = int.from_bytes(first.data[8:10], "little") & 0x3FFF
        elif first.type == b"VP8L":
            if first.data[:1] != b"\x2f" or len(first.data) < 5:
                raise RefusedError(RefusalReason.MALFORMED, "WebP picture")
            bits = int.from_bytes(first.data[1:5], "little")
            width = (bits & 0x3FFF) + 1
            height = (bits >> 14 & 0x3FFF) + 1
            flags |= _ALPHA_FLAG if bits >> 28 & 1 else 0
        else:
            raise RefusedError(RefusalReason.MALFORMED, "WebP chunks")
        if not (width and height):
            raise RefusedError(RefusalReason.MALFORMED, "WebP picture")
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        header = _pack_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + size)
        return [Splice(first.start, first.start, header)]


def _parse_chunks(data: bytes) -> list[Chunk]:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise RefusedError(RefusalReason.FORMAT)
    found = list(iter_riff_chunks(data))
    if (
        not found
        or found[-1].end != riff_end(data)
        or found[-1].end > len(data)
        or (found[0].type == b"VP8X" and len(found[0].data) < 10)
    ):
        raise RefusedError(RefusalReason.MALFORMED, "WebP chunks")
    return found


def _pack_chunk(type: bytes, data: bytes) -> bytes:
    return type + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
