"""PNG: XMP in an uncompressed iTXt chunk before the picture; all other chunks stay as they are."""

from __future__ import annotations

import zlib

from captioner.metadata import exif
from captioner.metadata.container import Chunk, Container, Edits, only_xmp
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice, apply

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP = b"XML:com.adobe.xmp\0"
_LONGEST_TEXT = 16 * 2**20
_LONGEST_CHUNK = 2**31 - 1


class Png:
    """The chunks of a PNG file.

    Raises
    ------
    Refused
        Where they do not add up, or are signed.
    """

    photoshop = None

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._chunks = _chunks(data)
        if any(chunk.kind == b"caBX" for chunk in self._chunks):
            raise Refused(Reason.SIGNED)
        packets = [c for c in self._chunks if c.kind == b"iTXt" and c.data.startswith(_XMP)]
        self._xmp = only_xmp(packets)
        self.xmp = _international(self._xmp.data)[2] if self._xmp else None
        blocks = [chunk for chunk in self._chunks if chunk.kind == b"eXIf"]
        self._exif = blocks[0] if len(blocks) == 1 else None
        self.exif = self._exif.data if self._exif else None

    def put(self, edits: Edits) -> list[Splice]:
        """The splices over the file, checksums included."""
        splices = []
        if edits.xmp:
            packet = apply(self.xmp or b"", edits.xmp)
            if self._xmp:
                head = _international(self._xmp.data)[0]
                place = (self._xmp.start, self._xmp.end)
            else:
                head = _XMP + b"\0\0\0\0"
                place = (self._before_picture(), self._before_picture())
            splices.append(Splice(*place, _chunk(b"iTXt", head + packet)))
        if edits.description is not None and self._exif and self.exif:
            block = apply(
                self.exif,
                exif.Tiff(self.exif).set(
                    {exif.IMAGE_DESCRIPTION: exif.description(edits.description)}
                ),
            )
            splices.append(Splice(self._exif.start, self._exif.end, _chunk(b"eXIf", block)))
        return splices

    def carries(self, before: Container) -> bool:
        """Compare all chunks but those of XMP and EXIF, their order included."""
        return isinstance(before, Png) and self._kept() == before._kept()

    def _kept(self) -> tuple[list[bytes], bytes]:
        kept = [c for c in self._chunks if c is not self._xmp and c is not self._exif]
        return [self.data[c.start : c.end] for c in kept], self.data[self._chunks[-1].end :]

    def _before_picture(self) -> int:
        return next(c.start for c in self._chunks if c.kind in (b"IDAT", b"fcTL"))


def _chunks(data: bytes) -> list[Chunk]:
    if not data.startswith(_SIGNATURE):
        raise Refused(Reason.FORMAT)
    found: list[Chunk] = []
    at = len(_SIGNATURE)
    while not found or found[-1].kind != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data) or length > _LONGEST_CHUNK:
            raise Refused(Reason.MALFORMED, "PNG chunks")
        end = at + 12 + length
        found.append(Chunk(data[at + 4 : at + 8], at, end, data[at + 8 : end - 4]))
        at = end
    if found[0].kind != b"IHDR" or not any(chunk.kind == b"IDAT" for chunk in found):
        raise Refused(Reason.MALFORMED, "PNG chunks")
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    if len(data) > _LONGEST_CHUNK:
        raise Refused(Reason.TOO_LARGE)
    checksum = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + checksum


def _international(data: bytes) -> tuple[bytes, bytes, bytes]:
    """An iTXt chunk: its head as for uncompressed text, its keyword, and its text."""
    keyword, _, rest = data.partition(b"\0")
    compressed, method = rest[:1], rest[1:2]
    language, first, rest = rest[2:].partition(b"\0")
    translated, second, text = rest.partition(b"\0")
    if not (first and second) or compressed not in (b"\0", b"\1") or method != b"\0":
        raise Refused(Reason.MALFORMED, "PNG text")
    if compressed == b"\1":
        text = _inflate(text)
    head = keyword + b"\0\0\0" + language + b"\0" + translated + b"\0"
    return head, keyword, text


def text(kind: bytes, data: bytes) -> bytes:
    """What a text chunk says.

    Raises
    ------
    Refused
        Where it cannot be read.
    """
    if kind == b"iTXt":
        return _international(data)[2]
    said = data.partition(b"\0")[2]
    return _inflate(said[1:]) if kind == b"zTXt" else said


def _inflate(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, _LONGEST_TEXT)
    except zlib.error as error:
        raise Refused(Reason.MALFORMED, "PNG text") from error
    if not stream.eof:
        raise Refused(Reason.TOO_LARGE, "PNG text")
    return text
