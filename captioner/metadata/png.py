"""PNG files: XMP in an uncompressed iTXt chunk before the picture; other chunks stay unchanged."""

from __future__ import annotations

import zlib

from captioner.formats.chunks import PNG_SIGNATURE, XMP_KEYWORD, Chunk, iter_png_chunks
from captioner.metadata import exif
from captioner.metadata.container import Container, Edits, single_xmp_chunk
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice, apply

_XMP = XMP_KEYWORD.encode() + b"\0"
_MAX_TEXT_BYTES = 16 * 2**20
_MAX_CHUNK_BYTES = 2**31 - 1


class PngFile:
    """A PNG file, parsed into chunks.

    Raises
    ------
    RefusedError
        If they are invalid, or signed.
    """

    photoshop = None

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._chunks = _parse_chunks(data)
        if any(chunk.type == b"caBX" for chunk in self._chunks):
            raise RefusedError(RefusalReason.SIGNED)
        self._xmp = single_xmp_chunk(
            [c for c in self._chunks if c.type == b"iTXt" and c.data.startswith(_XMP)]
        )
        self.xmp = _parse_international_text(self._xmp.data)[1] if self._xmp else None
        blocks = [chunk for chunk in self._chunks if chunk.type == b"eXIf"]
        self._exif = blocks[0] if len(blocks) == 1 else None
        self.exif = self._exif.data if self._exif else None

    def splices(self, edits: Edits) -> list[Splice]:
        """The splices of the file that make the changes, checksums included."""
        splices = []
        if edits.xmp:
            packet = apply(self.xmp or b"", edits.xmp)
            if self._xmp:
                header, _ = _parse_international_text(self._xmp.data)
                at = (self._xmp.start, self._xmp.end)
            else:
                header = _XMP + b"\0\0\0\0"
                at = (self._picture_start(), self._picture_start())
            splices.append(Splice(*at, _pack_chunk(b"iTXt", header + packet)))
        if edits.description is not None and self._exif and self.exif:
            block = apply(self.exif, exif.description_splices(self.exif, edits.description))
            splices.append(Splice(self._exif.start, self._exif.end, _pack_chunk(b"eXIf", block)))
        return splices

    def preserves(self, before: Container) -> bool:
        """Whether all chunks except XMP and EXIF are equal, and in the same order."""
        return isinstance(before, PngFile) and self._other_chunks() == before._other_chunks()

    def _other_chunks(self) -> tuple[list[bytes], bytes]:
        """All other chunks, and what follows the last."""
        others = [c for c in self._chunks if c is not self._xmp and c is not self._exif]
        return [self.data[c.start : c.end] for c in others], self.data[self._chunks[-1].end :]

    def _picture_start(self) -> int:
        return next(c.start for c in self._chunks if c.type in (b"IDAT", b"fcTL"))


def read_text(type: bytes, data: bytes) -> bytes:
    """The text of a chunk of type tEXt, zTXt or iTXt, decompressed.

    Raises
    ------
    RefusedError
        If it cannot be read.
    """
    if type == b"iTXt":
        return _parse_international_text(data)[1]
    text = data.partition(b"\0")[2]
    return _decompress(text[1:]) if type == b"zTXt" else text


def _parse_chunks(data: bytes) -> list[Chunk]:
    if not data.startswith(PNG_SIGNATURE):
        raise RefusedError(RefusalReason.FORMAT)
    found = list(iter_png_chunks(data))
    types = [chunk.type for chunk in found]
    if not found or types[0] != b"IHDR" or types[-1] != b"IEND" or b"IDAT" not in types:
        raise RefusedError(RefusalReason.MALFORMED, "PNG chunks")
    return found


def _pack_chunk(type: bytes, data: bytes) -> bytes:
    if len(data) > _MAX_CHUNK_BYTES:
        raise RefusedError(RefusalReason.TOO_LARGE)
    checksum = zlib.crc32(type + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + type + data + checksum


def _parse_international_text(data: bytes) -> tuple[bytes, bytes]:
    """An iTXt chunk: its header as for uncompressed text, and the text, decompressed."""
    keyword, _, rest = data.partition(b"\0")
    compressed, method = rest[:1], rest[1:2]
    language, first, rest = rest[2:].partition(b"\0")
    translated, second, text = rest.partition(b"\0")
    if not (first and second) or compressed not in (b"\0", b"\1") or method != b"\0":
        raise RefusedError(RefusalReason.MALFORMED, "PNG text")
    if compressed == b"\1":
        text = _decompress(text)
    return keyword + b"\0\0\0" + language + b"\0" + translated + b"\0", text


def _decompress(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, _MAX_TEXT_BYTES)
    except zlib.error as error:
        raise RefusedError(RefusalReason.MALFORMED, "PNG text") from error
    if not stream.eof:
        raise RefusedError(RefusalReason.TOO_LARGE, "PNG text")
    return text
