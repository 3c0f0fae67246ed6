"""Every block of a photo's file that may hold somebody's words, found without a doubt or not.

The modules for the formats take a file apart in order to write into it, and refuse what is unusual.
This one only reads: it goes on where they stop, and notes what cannot be read.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from PIL import Image

from captioner.metadata import exif, iptc, png
from captioner.metadata.refusal import Reason, Refused

Kind = Literal["xmp", "exif", "photoshop", "iptc"]

EXTENDED = "extended "
"""Prefix of the packet that continues the one captioner writes to, and that its mark covers."""

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF = (b"Exif\0\0", b"Exif\0\xff")
_PHOTOSHOP = (b"Photoshop 3.0\0", b"Adobe_Photoshop2.5:")
_SOS, _APP1, _APP13, _COM = 0xDA, 0xE1, 0xED, 0xFE
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
_TIFF_HEADERS = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
"""Of TIFF, and of the raw photos that differ from it in two bytes."""

_LARGEST_FOUND = 1 << 20
_MOST_FOUND = 32
_PACKET = re.compile(
    rb"<x:x[am]pmeta[\s>].*?(?:</x:x[am]pmeta\s*>|\Z)|<rdf:RDF[\s>].*?(?:</rdf:RDF\s*>|\Z)",
    re.DOTALL,
)
_WIDE_PACKET = re.compile(
    "|".join(
        re.escape("<x:xmpmeta".encode(code)).decode("latin-1")
        for code in ("utf-16-le", "utf-16-be")
    ).encode("latin-1")
)
_EXIF_BLOCK = re.compile(rb"Exif\0\0(?:II\*\0|MM\0\*)")
_FIRST_DATASET = re.compile(rb"\x1c\x02[\x00\x05\x19\x78]\x00")
_IPTC_RESOURCE = re.compile(rb"8BIM\x04\x04")
_PROFILE = "raw profile type "
_PROFILES_WITHOUT_WORDS = (" icc", " icm")
_PNG_XMP = "xml:com.adobe.xmp"
_COMMENTS = ("description", "comment")


@dataclass(frozen=True, slots=True)
class Block:
    """Metadata in one of the forms that programs share."""

    kind: Kind
    data: bytes
    prefix: str = ""
    """What to put before the names of its fields; empty for the block that captioner writes to."""


@dataclass(slots=True)
class Survey:
    """What a file holds."""

    blocks: list[Block] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Field and text of what the format itself keeps as a comment."""
    unread: list[Refused] = field(default_factory=list)
    """Why something that may hold words cannot be read."""

    def add(self, kind: Kind, found: list[bytes]) -> None:
        """Add the blocks of the place that belongs to them; several of them are all further ones.

        Of several XMP packets the first is the one that captioner would read its mark in.
        """
        for number, data in enumerate(found):
            alone = len(found) == 1 or (kind == "xmp" and number == 0)
            self.blocks.append(Block(kind, data, "" if alone else "further "))


def survey(data: bytes) -> Survey:
    """Look through a file of any format."""
    found = Survey()
    if data.startswith(b"\xff\xd8"):
        rest = _jpeg(data, found)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        rest = _png(data, found)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        rest = _webp(data, found)
    elif data.startswith(_TIFF_HEADERS):
        return _tiff(data, found)
    else:
        found.texts += _gif_comments(data)
        rest = 0
    if rest is not None:
        _scan(data, rest, found)
    return found


def _jpeg(data: bytes, found: Survey) -> int | None:
    segments, broken = _segments(data)
    blocks: dict[Kind, list[bytes]] = {"xmp": [], "exif": [], "photoshop": []}
    extensions = []
    for marker, payload in segments:
        exif_at = payload.find(b"Exif\0", 0, 10)
        if marker == _COM:
            found.texts.append(("JPEG comment", _decoded(payload)))
        elif marker == _APP13 and payload.startswith(_PHOTOSHOP):
            blocks["photoshop"].append(_without(payload, *_PHOTOSHOP))
        elif marker != _APP1:
            continue
        elif payload.startswith(_XMP):
            blocks["xmp"].append(payload[len(_XMP) :])
        elif payload.startswith(_MORE_XMP):
            extensions.append(payload[len(_MORE_XMP) :])
        elif exif_at >= 0:
            blocks["exif"].append(payload[exif_at + len(_EXIF[0]) :])
        elif b"<rdf:RDF" in payload or b"<x:x" in payload:
            found.blocks.append(Block("xmp", payload[payload.index(b"<") :], "further "))
    if len(blocks["photoshop"]) > 1:  # one block that was too long for a segment
        found.blocks.append(Block("photoshop", b"".join(blocks.pop("photoshop")), "further "))
    for kind, data_of_kind in blocks.items():
        found.add(kind, data_of_kind)
    _extended(extensions, found)
    if trailer := _trailer(data):
        captions, _, _ = iptc.readable(trailer)
        found.texts += [("trailer IPTC caption", caption) for caption in captions]
    return broken


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], int | None]:
    """Marker and payload of what stands before the first scan, and where it ends if not at one."""
    found: list[tuple[int, bytes]] = []
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        marker = int.from_bytes(data[at : at + 2], "big") - 0xFF00
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _SOS:
            return found, None
        if marker < 0 or marker in _WITHOUT_LENGTH or length < 2 or at + 2 + length > len(data):
            return found, at
        found.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length


def _without(data: bytes, *starts: bytes) -> bytes:
    for start in starts:
        data = data.removeprefix(start)
    return data


def _trailer(data: bytes) -> bytes | None:
    """The IPTC that AFCP and FotoStation leave behind the picture."""
    if data[-12:-8] not in (b"AXS!", b"AXS*") and data[-4:] != b"\xa1\xb2\xc3\xd4":
        return None
    start = _FIRST_DATASET.search(data, max(0, len(data) - _LARGEST_FOUND))
    return data[start.start() :] if start else None


def _extended(extensions: list[bytes], found: Survey) -> None:
    """Add the packets that were too long for a segment: parts with a name, a length and a place."""
    parts: dict[bytes, dict[int, bytes]] = {}
    for extension in extensions:
        place = int.from_bytes(extension[36:40], "big")
        parts.setdefault(extension[:36], {})[place] = extension[40:]
    for name, pieces in parts.items():
        packet = b"".join(pieces[place] for place in sorted(pieces))
        found.blocks.append(Block("xmp", packet, EXTENDED))
        if len(packet) != int.from_bytes(name[32:], "big"):
            found.unread.append(Refused(Reason.MALFORMED, "extended XMP"))


def _png(data: bytes, found: Survey) -> int | None:
    packets: list[bytes] = []
    blocks: list[bytes] = []
    broken = None
    at = 8
    kind = b""
    while kind != b"IEND":
        length = int.from_bytes(data[at : at + 4], "big")
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            broken = at
            break
        at += 12 + length
        if kind == b"eXIf":
            blocks.append(_without(chunk, *_EXIF))
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            _png_text(kind, chunk, packets, found)
    found.add("xmp", packets)
    found.add("exif", blocks)
    return broken


def _png_text(kind: bytes, chunk: bytes, packets: list[bytes], found: Survey) -> None:
    keyword = chunk.split(b"\0")[0].decode("latin-1")
    known = keyword.lower()
    is_profile = known.startswith(_PROFILE) and not known.endswith(_PROFILES_WITHOUT_WORDS)
    if not (known == _PNG_XMP or known in _COMMENTS or is_profile):
        return
    try:
        text = png.text(kind, chunk)
    except Refused as error:
        found.unread.append(Refused(error.reason, f"PNG text {keyword}"))
        return
    if known == _PNG_XMP:
        packets.append(text)
    elif is_profile:
        _profile(keyword, text, found)
    else:
        said = text.decode("utf-8", "replace") if kind == b"iTXt" else _decoded(text)
        found.texts.append((f"PNG {keyword}", said))


def _profile(keyword: str, text: bytes, found: Survey) -> None:
    """A block as ImageMagick writes it as text: its kind, its length, and hexadecimals."""
    try:
        _, _, digits = text.decode("latin-1").strip().split("\n", 2)
        block = bytes.fromhex(digits)
    except ValueError:
        found.unread.append(Refused(Reason.MALFORMED, f"PNG {keyword}"))
        return
    block = _without(block, *_EXIF, _XMP, *_PHOTOSHOP)
    kind: Kind = "xmp"
    if block.startswith(_TIFF_HEADERS):
        kind = "exif"
    elif block.startswith(b"8BIM"):
        kind = "photoshop"
    elif block.startswith(b"\x1c"):
        kind = "iptc"
    found.blocks.append(Block(kind, block, "PNG "))


def _webp(data: bytes, found: Survey) -> int | None:
    chunks: dict[bytes, list[bytes]] = {b"XMP ": [], b"EXIF": []}
    broken = None
    at = 12
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at < end:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            broken = at
            break
        chunks.setdefault(data[at : at + 4], []).append(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    found.add("xmp", chunks[b"XMP "])
    found.add("exif", [_without(chunk, *_EXIF) for chunk in chunks[b"EXIF"]])
    return broken


def _gif_comments(data: bytes) -> Iterator[tuple[str, str]]:
    """The comments of a GIF, which may stand before and behind any frame."""
    if not data.startswith((b"GIF87a", b"GIF89a")) or len(data) < 13:
        return
    at = 13 + _colours(data[10])
    while at + 10 <= len(data) and data[at] in (0x21, 0x2C):
        is_picture = data[at] == 0x2C
        is_comment = not is_picture and data[at + 1] == 0xFE
        at += 11 + _colours(data[at + 9]) if is_picture else 2
        parts = []
        while at < len(data) and data[at]:
            parts.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        at += 1
        if is_comment:
            yield "comment", _decoded(b"".join(parts))


def _colours(flags: int) -> int:
    """Bytes of the table of colours that flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff(data: bytes, found: Survey) -> Survey:
    found.add("exif", [data])
    try:
        tiff = exif.Tiff(data, lenient=True)
    except Refused:
        return found  # which the reading of its tags says
    kinds: tuple[tuple[int, Kind], ...] = (
        (exif.XMP, "xmp"),
        (exif.IPTC, "iptc"),
        (exif.PHOTOSHOP, "photoshop"),
    )
    for tag, kind in kinds:
        try:
            values = tiff.values(tag)
        except Refused as error:
            found.unread.append(Refused(error.reason, f"TIFF {kind}"))
            continue
        for number, value in enumerate(values):
            found.blocks.append(Block(kind, value, "further " if number else ""))
    return found


def _scan(data: bytes, at: int, found: Survey) -> None:
    """Look for blocks in a file of another format, such as HEIC, or behind what is broken."""
    packets = [*_matches(_PACKET, data, at), *_matches(_WIDE_PACKET, data, at, to_the_end=True)]
    blocks = [block[6:] for block in _matches(_EXIF_BLOCK, data, at, to_the_end=True)]
    for block in _matches(_IPTC_RESOURCE, data, at, to_the_end=True):
        resources, _ = iptc.resources_until(block)
        found.blocks += [Block("iptc", resource.data, "further ") for resource in resources[:1]]
    if at:
        found.blocks += [Block("xmp", packet, "further ") for packet in packets]
        found.blocks += [Block("exif", block, "further ") for block in blocks]
        return
    info = _information(data)
    if not packets and isinstance(packet := info.get("xmp"), bytes):
        packets = [packet]
    if not blocks and isinstance(tags := info.get("exif"), bytes):
        blocks = [_without(tags, *_EXIF)]
    found.add("xmp", packets)
    found.add("exif", blocks)
    if isinstance(comment := info.get("comment"), bytes):
        found.texts.append(("comment", _decoded(comment)))
    found.texts = list(dict.fromkeys(found.texts))
    _big_tiff(info.get("tags", {}), found)


def _matches(
    pattern: re.Pattern[bytes], data: bytes, at: int, *, to_the_end: bool = False
) -> list[bytes]:
    found = []
    for match in islice(pattern.finditer(data, at), _MOST_FOUND):
        end = match.start() + _LARGEST_FOUND
        found.append(data[match.start() : end if to_the_end else min(match.end(), end)])
    return found


def _information(data: bytes) -> dict[Any, Any]:
    """What Pillow finds in a file beside the picture."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            tags = dict(getattr(image, "tag_v2", {}))
            return {**image.info, "tags": tags}
    except Exception:  # Pillow raises anything over what it cannot read.
        return {}


def _big_tiff(tags: dict[int, object], found: Survey) -> None:
    """Add what the tags of a TIFF say whose directories only Pillow can read."""
    if isinstance(said := tags.get(exif.IMAGE_DESCRIPTION), str):
        found.texts.append(("EXIF ImageDescription", said))
    if isinstance(packet := tags.get(exif.XMP), bytes) and not any(
        block.kind == "xmp" for block in found.blocks
    ):
        found.blocks.append(Block("xmp", packet))
    if isinstance(datasets := tags.get(exif.IPTC), bytes):
        found.blocks.append(Block("iptc", datasets))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode().strip("\0 ")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip("\0 ")
