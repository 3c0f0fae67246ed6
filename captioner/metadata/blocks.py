"""All metadata blocks of a photo that may hold captions, found as tolerantly as possible.

The modules for one format each parse a file in order to write into it, and refuse what is unusual.
This one only reads: it goes on where they stop, and reports what cannot be read.
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

from captioner.formats import chunks, jpeg, tiff
from captioner.formats.iptc import PHOTOSHOP_SIGNATURE
from captioner.metadata import exif, iptc, png
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import EXIF_DESCRIPTION

BlockKind = Literal["xmp", "exif", "photoshop", "iptc"]

EXTENDED = "extended "
"""Prefix of the packet that continues the main one; captioner's mark covers it, too."""
_FURTHER = "further "

_PHOTOSHOP = (jpeg.PHOTOSHOP, jpeg.OLD_PHOTOSHOP)

_MAX_SCANNED_BYTES = 1 << 20
"""Of a block that is found by scanning."""
_MAX_SCANNED = 32
_PACKET = re.compile(
    rb"<x:x[am]pmeta[\s>].*?(?:</x:x[am]pmeta\s*>|\Z)|<rdf:RDF[\s>].*?(?:</rdf:RDF\s*>|\Z)",
    re.DOTALL,
)
_WIDE_PACKET = re.compile(
    "|".join(
        re.escape("<x:xmpmeta".encode(encoding)).decode("latin-1")
        for encoding in ("utf-16-le", "utf-16-be")
    ).encode("latin-1")
)
_EXIF_BLOCK = re.compile(rb"Exif\0\0(?:II\*\0|MM\0\*)")
_FIRST_DATASET = re.compile(rb"\x1c\x02[\x00\x05\x19\x78]\x00")
_IPTC_RESOURCE = re.compile(rb"8BIM\x04\x04")
_COLOUR_PROFILES = (" icc", " icm")
_COMMENTS = ("description", "comment")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of metadata."""

    kind: BlockKind
    data: bytes
    prefix: str = ""
    """Put before the names of its fields; empty for a block that captioner may write to."""


@dataclass(slots=True)
class FoundBlocks:
    """All metadata that was found in a file."""

    blocks: list[Block] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    """Field and text of comments of the format itself."""
    unreadable: list[RefusedError] = field(default_factory=list)
    """Why parts that may hold captions cannot be read."""

    def add(self, kind: BlockKind, found: list[bytes]) -> None:
        """Add the blocks from their usual place; if there are several, all are further ones.

        Except the first of several XMP packets, in which captioner's mark is looked for.
        """
        for number, data in enumerate(found):
            is_main = len(found) == 1 or (kind == "xmp" and number == 0)
            self.blocks.append(Block(kind, data, "" if is_main else _FURTHER))


def find_blocks(data: bytes) -> FoundBlocks:
    """Find the metadata of a file of any format."""
    found = FoundBlocks()
    if data.startswith(b"\xff\xd8"):
        rest = _find_in_jpeg(data, found)
    elif data.startswith(chunks.PNG_SIGNATURE):
        rest = _find_in_png(data, found)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        rest = _find_in_webp(data, found)
    elif data.startswith(tiff.HEADERS):
        return _find_in_tiff(data, found)
    else:
        found.texts += _gif_comments(data)
        rest = 0
    if rest is not None:
        _scan(data, rest, found)
    return found


def _find_in_jpeg(data: bytes, found: FoundBlocks) -> int | None:
    """Add the blocks of a JPEG; returns the offset from which on it is invalid, if any."""
    segments, broken = _jpeg_segments(data)
    blocks: dict[BlockKind, list[bytes]] = {"xmp": [], "exif": [], "photoshop": []}
    extensions = []
    for marker, payload in segments:
        exif_at = payload.find(b"Exif\0", 0, 10)
        if marker == jpeg.COM:
            found.texts.append(("JPEG comment", _decode(payload)))
        elif marker == jpeg.APP13 and payload.startswith(_PHOTOSHOP):
            blocks["photoshop"].append(_without_prefixes(payload, *_PHOTOSHOP))
        elif marker != jpeg.APP1:
            continue
        elif payload.startswith(jpeg.XMP):
            blocks["xmp"].append(payload[len(jpeg.XMP) :])
        elif payload.startswith(jpeg.EXTENDED_XMP):
            extensions.append(payload[len(jpeg.EXTENDED_XMP) :])
        elif exif_at >= 0:
            blocks["exif"].append(payload[exif_at + len(jpeg.EXIF[0]) :])
        elif b"<rdf:RDF" in payload or b"<x:x" in payload:
            found.blocks.append(Block("xmp", payload[payload.index(b"<") :], _FURTHER))
    if len(blocks["photoshop"]) > 1:  # one block that was too long for a segment
        found.blocks.append(Block("photoshop", b"".join(blocks.pop("photoshop")), _FURTHER))
    for kind, data_of_kind in blocks.items():
        found.add(kind, data_of_kind)
    _add_extended_packets(extensions, found)
    if trailer := _iptc_trailer(data):
        captions, _, _ = iptc.read_tolerantly(trailer)
        found.texts += [("trailer IPTC caption", caption) for caption in captions]
    return broken


def _jpeg_segments(data: bytes) -> tuple[list[tuple[int, bytes]], int | None]:
    """Marker and payload of the segments before the first scan, and where they become invalid."""
    found: list[tuple[int, bytes]] = []
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        marker = int.from_bytes(data[at : at + 2], "big") - 0xFF00
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == jpeg.SOS:
            return found, None
        if marker < 0 or marker in jpeg.WITHOUT_LENGTH or length < 2 or at + 2 + length > len(data):
            return found, at
        found.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length


def _without_prefixes(data: bytes, *prefixes: bytes) -> bytes:
    for prefix in prefixes:
        data = data.removeprefix(prefix)
    return data


def _iptc_trailer(data: bytes) -> bytes | None:
    """The IPTC that AFCP and FotoStation append to the picture."""
    if data[-12:-8] not in (b"AXS!", b"AXS*") and data[-4:] != b"\xa1\xb2\xc3\xd4":
        return None
    start = _FIRST_DATASET.search(data, max(0, len(data) - _MAX_SCANNED_BYTES))
    return data[start.start() :] if start else None


def _add_extended_packets(extensions: list[bytes], found: FoundBlocks) -> None:
    """Join packets that were too long for a segment, from parts with GUID, length and offset."""
    parts: dict[bytes, dict[int, bytes]] = {}
    for extension in extensions:
        offset = int.from_bytes(extension[36:40], "big")
        parts.setdefault(extension[:36], {})[offset] = extension[40:]
    for header, pieces in parts.items():
        packet = b"".join(pieces[offset] for offset in sorted(pieces))
        found.blocks.append(Block("xmp", packet, EXTENDED))
        if len(packet) != int.from_bytes(header[32:], "big"):
            found.unreadable.append(RefusedError(RefusalReason.MALFORMED, "extended XMP"))


def _find_in_png(data: bytes, found: FoundBlocks) -> int | None:
    """Add the blocks of a PNG; returns the offset from which on it is invalid, if any."""
    packets: list[bytes] = []
    blocks: list[bytes] = []
    end = len(chunks.PNG_SIGNATURE)
    is_complete = False
    for chunk in chunks.iter_png_chunks(data):
        end = chunk.end
        is_complete = chunk.type == b"IEND"
        if chunk.type == b"eXIf":
            blocks.append(_without_prefixes(chunk.data, *jpeg.EXIF))
        elif chunk.type in (b"tEXt", b"zTXt", b"iTXt"):
            _add_png_text(chunk, packets, found)
    found.add("xmp", packets)
    found.add("exif", blocks)
    return None if is_complete else end


def _add_png_text(chunk: chunks.Chunk, packets: list[bytes], found: FoundBlocks) -> None:
    keyword = chunk.data.split(b"\0")[0].decode("latin-1")
    folded = keyword.lower()
    is_packet = folded == chunks.XMP_KEYWORD.lower()
    is_profile = folded.startswith(chunks.RAW_PROFILE) and not folded.endswith(_COLOUR_PROFILES)
    if not (is_packet or folded in _COMMENTS or is_profile):
        return
    try:
        text = png.read_text(chunk.type, chunk.data)
    except RefusedError as error:
        found.unreadable.append(RefusedError(error.reason, f"PNG text {keyword}"))
        return
    if is_packet:
        packets.append(text)
    elif is_profile:
        _add_raw_profile(keyword, text, found)
    else:
        is_utf_8 = chunk.type == b"iTXt"
        comment = text.decode("utf-8", "replace") if is_utf_8 else _decode(text)
        found.texts.append((f"PNG {keyword}", comment))


def _add_raw_profile(keyword: str, text: bytes, found: FoundBlocks) -> None:
    try:
        block = chunks.parse_raw_profile(text.decode("latin-1"))
    except ValueError:
        found.unreadable.append(RefusedError(RefusalReason.MALFORMED, f"PNG {keyword}"))
        return
    block = _without_prefixes(block, *jpeg.EXIF, jpeg.XMP, *_PHOTOSHOP)
    kind: BlockKind = "xmp"
    if block.startswith(tiff.HEADERS):
        kind = "exif"
    elif block.startswith(PHOTOSHOP_SIGNATURE):
        kind = "photoshop"
    elif block.startswith(b"\x1c"):
        kind = "iptc"
    found.blocks.append(Block(kind, block, "PNG "))


def _find_in_webp(data: bytes, found: FoundBlocks) -> int | None:
    """Add the blocks of a WebP; returns the offset from which on it is invalid, if any."""
    packets = []
    blocks = []
    end = 12
    for chunk in chunks.iter_riff_chunks(data):
        end = chunk.end
        if chunk.type == b"XMP ":
            packets.append(chunk.data)
        elif chunk.type == b"EXIF":
            blocks.append(_without_prefixes(chunk.data, *jpeg.EXIF))
    found.add("xmp", packets)
    found.add("exif", blocks)
    return end if end < min(len(data), chunks.riff_end(data)) else None


def _gif_comments(data: bytes) -> Iterator[tuple[str, str]]:
    """The comments of a GIF, which may be before and after any frame."""
    if not data.startswith((b"GIF87a", b"GIF89a")) or len(data) < 13:
        return
    at = 13 + _colour_table_size(data[10])
    while at + 10 <= len(data) and data[at] in (0x21, 0x2C):
        is_frame = data[at] == 0x2C
        is_comment = not is_frame and data[at + 1] == 0xFE
        at += 11 + _colour_table_size(data[at + 9]) if is_frame else 2
        parts = []
        while at < len(data) and data[at]:
            parts.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        at += 1
        if is_comment:
            yield "comment", _decode(b"".join(parts))


def _colour_table_size(flags: int) -> int:
    """Bytes of the colour table that flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _find_in_tiff(data: bytes, found: FoundBlocks) -> FoundBlocks:
    found.add("exif", [data])
    try:
        block = exif.TiffBlock(data, tolerant=True)
    except RefusedError:
        return found  # which reading its tags reports
    kinds: tuple[tuple[int, BlockKind], ...] = (
        (tiff.XMP, "xmp"),
        (tiff.IPTC, "iptc"),
        (tiff.PHOTOSHOP, "photoshop"),
    )
    for tag, kind in kinds:
        try:
            values = block.values(tag)
        except RefusedError as error:
            found.unreadable.append(RefusedError(error.reason, f"TIFF {kind}"))
            continue
        for number, value in enumerate(values):
            found.blocks.append(Block(kind, value, _FURTHER if number else ""))
    return found


def _scan(data: bytes, start: int, found: FoundBlocks) -> None:
    """Search for blocks in a file of another format, such as HEIC, or after an invalid part."""
    packets = [
        *_matches(_PACKET, data, start),
        *_matches(_WIDE_PACKET, data, start, to_the_end=True),
    ]
    blocks = [block[6:] for block in _matches(_EXIF_BLOCK, data, start, to_the_end=True)]
    for block in _matches(_IPTC_RESOURCE, data, start, to_the_end=True):
        resources, _ = iptc.valid_resources(block)
        found.blocks += [Block("iptc", resource.data, _FURTHER) for resource in resources[:1]]
    if start:
        found.blocks += [Block("xmp", packet, _FURTHER) for packet in packets]
        found.blocks += [Block("exif", block, _FURTHER) for block in blocks]
        return
    info = _pillow_info(data)
    if not packets and isinstance(packet := info.get("xmp"), bytes):
        packets = [packet]
    if not blocks and isinstance(tags := info.get("exif"), bytes):
        blocks = [_without_prefixes(tags, *jpeg.EXIF)]
    found.add("xmp", packets)
    found.add("exif", blocks)
    if isinstance(comment := info.get("comment"), bytes):
        found.texts.append(("comment", _decode(comment)))
    found.texts = list(dict.fromkeys(found.texts))
    _add_pillow_tags(info.get("tags", {}), found)


def _matches(
    pattern: re.Pattern[bytes], data: bytes, start: int, *, to_the_end: bool = False
) -> list[bytes]:
    found = []
    for match in islice(pattern.finditer(data, start), _MAX_SCANNED):
        end = match.start() + _MAX_SCANNED_BYTES
        found.append(data[match.start() : end if to_the_end else min(match.end(), end)])
    return found


def _pillow_info(data: bytes) -> dict[Any, Any]:
    """What Pillow finds in a file besides the picture."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            tags = dict(getattr(image, "tag_v2", {}))
            return {**image.info, "tags": tags}
    except Exception:  # Pillow raises anything for what it cannot read.
        return {}


def _add_pillow_tags(tags: dict[int, object], found: FoundBlocks) -> None:
    """Add the metadata of a TIFF that only Pillow can parse, such as BigTIFF."""
    if isinstance(text := tags.get(tiff.IMAGE_DESCRIPTION), str):
        found.texts.append((EXIF_DESCRIPTION, text))
    if isinstance(packet := tags.get(tiff.XMP), bytes) and not any(
        block.kind == "xmp" for block in found.blocks
    ):
        found.blocks.append(Block("xmp", packet))
    if isinstance(datasets := tags.get(tiff.IPTC), bytes):
        found.blocks.append(Block("iptc", datasets))


def _decode(text: bytes) -> str:
    try:
        return text.decode().strip("\0 ")
    except UnicodeDecodeError:
        return text.decode("latin-1").strip("\0 ")
