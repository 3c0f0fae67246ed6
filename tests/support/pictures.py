"""Tiny image files with metadata, for tests of writing into photos."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from captioner.metadata import splice
from captioner.metadata.fields import CaptionData
from captioner.types import FileWrite

HARD = 'Ein Hündchen läuft: "so" & <so>, 👩‍🚀 ' + "and on " * 280 + "it goes."
"""Over 2,000 characters, with everything that has caused bugs somewhere."""
WORDS = CaptionData("A dog runs.", None, ("dog", "grass"), "c0ffee", "2026-11-21T10:00:00+01:00")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def packet(properties: str = "", attributes: str = "") -> bytes:
    """An XMP packet with one description that holds these properties."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">\n'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3" {attributes}>'
        f"{properties}</rdf:Description>\n</rdf:RDF></x:xmpmeta>\n"
        f"{' ' * 1000}<?xpacket end='w'?>"
    ).encode()


def exif_block(values: Mapping[int, str], order: str = "<") -> bytes:
    """An EXIF block with ASCII tags."""
    tags = {**{tag: text.encode() + b"\0" for tag, text in values.items()}, 0x010F: b"Maker\0"}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    at = 8 + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, value in sorted(tags.items()):
        raw = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", at + len(rest))
        rest += b"" if len(value) <= 4 else value + b"\0" * (len(value) % 2)
        entries += struct.pack(order + "HHI", tag, 2, len(value)) + raw
    count = struct.pack(order + "H", len(tags))
    return head + count + entries + b"\0\0\0\0" + rest


def iptc_block(*datasets: tuple[int, int, bytes]) -> bytes:
    """Photoshop's image resources: something, IPTC, its digest."""
    import hashlib

    iptc = b"".join(struct.pack(">BBBH", 0x1C, r, n, len(v)) + v for r, n, v in datasets)

    def resource(number: int, data: bytes) -> bytes:
        head = b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data))
        return head + data + b"\0" * (len(data) % 2)

    return (
        resource(0x03ED, b"\1\2\3")
        + resource(0x0404, iptc)
        + resource(0x0425, hashlib.md5(iptc).digest())
    )


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def jpeg(*segments: bytes, tail: bytes = b"") -> bytes:
    """A JPEG with segments after its JFIF header, and bytes after its end marker."""
    data = picture("JPEG")
    return data[:20] + b"".join(segments) + data[20:] + tail


def jpeg_with(
    *, xmp: bytes | None = None, exif: bytes | None = None, photoshop: bytes | None = None
) -> bytes:
    segments = []
    if exif is not None:
        segments.append(segment(0xE1, b"Exif\0\0" + exif))
    if xmp is not None:
        segments.append(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))
    if photoshop is not None:
        segments.append(segment(0xED, b"Photoshop 3.0\0" + photoshop))
    return jpeg(*segments)


def png(*chunks: tuple[bytes, bytes], tail: bytes = b"") -> bytes:
    """A PNG with chunks after its header."""
    data = picture("PNG")
    made = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return data[:33] + made + data[33:] + tail


def picture(format: str, mode: str = "RGB", **options: object) -> bytes:
    """An image of a few different pixels."""
    file = io.BytesIO()
    image = Image.linear_gradient("L").resize((24, 16)).convert(mode)
    image.save(file, format, **options)
    return file.getvalue()


class Memory:
    """Records in memory."""

    def __init__(self) -> None:
        self.writes: list[FileWrite] = []

    def find(self, path: Path, sha256_after: bytes) -> FileWrite | None:
        found = [write for write in self.writes if write.sha256_after == sha256_after]
        return next((w for w in found if w.path == path), found[0] if found else None)

    def add(self, write: FileWrite) -> None:
        self.writes.append(write)

    def delete(self, path: Path, except_after: bytes | None = None) -> None:
        self.writes = [w for w in self.writes if w.path != path or w.sha256_after == except_after]


def written(data: bytes, splices: list[splice.Splice]) -> bytes:
    """Apply splices, and assert that their inverse undoes them."""
    new = splice.apply(data, splices)
    assert splice.apply(new, splice.inverse(data, splices)) == data
    return new
