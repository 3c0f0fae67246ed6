"""Blocks of metadata in a photo that Pillow has opened: EXIF, XMP, IPTC, PNG texts, comments."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image

from captioner import authorship
from captioner.formats import chunks, jpeg, tiff
from captioner.photos import exif, iptc, xmp
from captioner.photos.xmp import decode_utf8_or_cp1252

Tags = Mapping[str, Any]
"""EXIF tags, as `exif.read_tags` gives them."""
Properties = Mapping[str, list[str]]
"""XMP properties, as `xmp.read_properties` gives them."""
Datasets = Mapping[tuple[int, int], list[str]]
"""IPTC datasets, as `iptc.read_texts` gives them."""

_GIF_PACKET_END = b"\x01\xff\xfe\xfd"
"""First bytes of the trailer that leads readers of blocks to the end of the packet."""


@dataclass(slots=True)
class MetadataBlocks:
    """All metadata of one photo."""

    tags: Tags = field(default_factory=dict)
    properties: Properties = field(default_factory=dict)
    datasets: Datasets = field(default_factory=dict)
    png_texts: Mapping[str, str] = field(default_factory=dict)
    """Text chunks of PNG, by their keywords in lower case."""
    comment: str = ""
    """The comment of JPEG or GIF."""


def read_blocks(image: Image.Image, file: BinaryIO, properties: Collection[str]) -> MetadataBlocks:
    """Read the metadata of an image and of the file it comes from; what is damaged is left out.

    Parameters
    ----------
    properties
        The names of the XMP properties to read, as `formats.xmp.qualified` gives them.
    """
    info = image.info
    png_texts = {}
    with suppress(Exception):
        texts = getattr(image, "text", {})
        png_texts = {str(keyword).lower(): str(text) for keyword, text in texts.items()}
    profiles = dict(_raw_profiles(png_texts))
    exif_block = info.get("exif") or profiles.get("exif") or profiles.get("app1")
    tags = _read_exif(exif_block, file)
    packets = (
        *(info.get("xmp"), _gif_packet(image, file)),
        *(_tiff_tag(image, tiff.XMP), png_texts.get(chunks.XMP_KEYWORD.lower())),
        *(profiles.get("xmp"), profiles.get("app1"), tags.get("Image XMP")),
    )
    photoshop = info.get("photoshop")
    iptc_blocks = (
        _photoshop_resources(image) or (None if isinstance(photoshop, dict) else photoshop),
        # Pillow gives only the first number if the tag has numbers of four bytes.
        *(tags.get("Image IPTC"), _tiff_tag(image, tiff.IPTC)),
        *(profiles.get("iptc"), profiles.get("8bim")),
    )
    comment = info.get("comment", b"")
    return MetadataBlocks(
        tags=tags,
        properties=_read_xmp(next((block for block in packets if block), b""), properties),
        datasets=_read_iptc(next((block for block in iptc_blocks if block), b"")),
        png_texts=png_texts,
        comment=decode_utf8_or_cp1252(comment) if isinstance(comment, bytes) else str(comment),
    )


def tag_text(tags: Tags, name: str) -> str:
    """The normalised text of an EXIF tag; empty if it has none."""
    value = tags.get(name)
    value = getattr(value, "values", value)
    if isinstance(value, bytes):  # which exifread gives for what is not UTF-8
        value = decode_utf8_or_cp1252(value)
    return authorship.normalise(value) if isinstance(value, str) else ""


def _read_exif(block: object, file: BinaryIO) -> Tags:
    with suppress(Exception):  # exifread raises almost anything
        if isinstance(block, bytes) and not block.startswith(jpeg.XMP):
            return exif.read_tags(io.BytesIO(block.removeprefix(jpeg.EXIF[0])))
        file.seek(0)
        if tiff.byte_order(file.read(2)):  # a TIFF, or a raw photo that is one
            file.seek(0)
            return exif.read_tags(file)
    return {}


def _read_xmp(packet: Any, properties: Collection[str]) -> Properties:
    with suppress(Exception):
        if isinstance(packet, str):
            packet = packet.encode()
        if packet:
            return xmp.read_properties(bytes(packet).removeprefix(jpeg.XMP), properties)
    return {}


def _gif_packet(image: Image.Image, file: BinaryIO) -> bytes:
    """The XMP of a GIF, which follows its name unchanged, not divided into blocks."""
    with suppress(Exception):
        name, start = image.info["extension"]
        if name == b"XMP DataXMP":
            file.seek(start)
            return file.read(xmp.MAX_PACKET_BYTES).partition(_GIF_PACKET_END)[0]
    return b""


def _photoshop_resources(image: Image.Image) -> bytes:
    """The image resources of all segments of a JPEG.

    Pillow itself stops reading them at the first invalid one.
    """
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    return b"".join(
        payload.removeprefix(jpeg.PHOTOSHOP)
        for name, payload in segments
        if name == "APP13" and payload.startswith(jpeg.PHOTOSHOP)
    )


def _read_iptc(block: Any) -> Datasets:
    with suppress(Exception):
        if isinstance(block, tuple):  # a TIFF that stores it as numbers of four bytes
            block = b"".join(
                part if isinstance(part, bytes) else int(part).to_bytes(4, "little")
                for part in block
            )
        return iptc.read_texts(block) if isinstance(block, bytes) else {}
    return {}


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    with suppress(Exception):
        return getattr(image, "tag_v2", {}).get(tag)
    return None


def _raw_profiles(png_texts: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """The blocks that ImageMagick writes into PNG files, with their kinds."""
    for keyword, text in png_texts.items():
        if keyword.startswith(chunks.RAW_PROFILE):
            with suppress(ValueError):
                yield keyword.removeprefix(chunks.RAW_PROFILE), chunks.parse_raw_profile(text)
