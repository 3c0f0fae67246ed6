"""Parsing photos by format, and reading all captions and keywords in their metadata."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from captioner.formats.iptc import IPTC_RESOURCE
from captioner.metadata import exif, iptc
from captioner.metadata.blocks import EXTENDED, Block, find_blocks
from captioner.metadata.container import Container
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import IPTC_CAPTION, FieldText, FileMetadata
from captioner.metadata.jpeg import JpegFile
from captioner.metadata.packet import read_packet_tolerantly
from captioner.metadata.png import PngFile
from captioner.metadata.tiff import TiffFile
from captioner.metadata.webp import WebPFile

MAX_BYTES = 2**30
"""Of a file that is written in place; it is held in memory twice."""

_Result = TypeVar("_Result")

_CONTAINERS: tuple[tuple[bytes, Callable[[bytes], Container]], ...] = (
    (b"\xff\xd8", JpegFile),
    (b"\x89PNG", PngFile),
    (b"RIFF", WebPFile),
    (b"II", TiffFile),
    (b"MM", TiffFile),
)
_TIFF_SUFFIXES = (".tif", ".tiff")


def read_photo(data: bytes) -> FileMetadata:
    """All metadata of a photo of any format, and why some of it could not be read."""
    found = find_blocks(data)
    metadata = FileMetadata()
    texts: list[FieldText] = []
    keywords: list[str] = []
    unreadable = list(found.unreadable)
    for block in found.blocks:
        if block.kind == "xmp":
            packet = read_packet_tolerantly(block.data)
            unreadable += packet.unreadable
            if not block.prefix:
                metadata = packet
                texts += packet.texts
                keywords += packet.keywords
            elif block.prefix == EXTENDED:
                texts += packet.texts
            else:  # It has a mark of its own.
                texts += [
                    replace(text, field=f"{block.prefix}{text.field}")
                    for text in packet.human_authored(packet.texts)
                ]
        elif block.kind == "exif":
            tags, errors = exif.read_texts(block.data)
            unreadable += errors
            texts += [FieldText(f"{block.prefix}{name}", text) for name, text in tags]
        else:
            captions, words, errors = _read_iptc(block)
            unreadable += errors
            texts += [FieldText(f"{block.prefix}{IPTC_CAPTION}", text) for text in captions]
            keywords += [word for word in words if word not in keywords]
    texts += [FieldText(*text) for text in found.texts]
    return replace(
        metadata, texts=tuple(texts), keywords=tuple(keywords), unreadable=tuple(unreadable)
    )


def parse_photo(data: bytes, suffix: str = ".tif") -> Container:
    """Parse a photo in order to write into it.

    Parameters
    ----------
    suffix
        The extension of its name: most raw formats are TIFF by their content.

    Raises
    ------
    RefusedError
        If captioner does not write into it.
    """
    if len(data) > MAX_BYTES:
        raise RefusedError(RefusalReason.TOO_LARGE)
    for start, parse in _CONTAINERS:
        if data.startswith(start):
            if parse is TiffFile and suffix.lower() not in _TIFF_SUFFIXES:
                raise RefusedError(RefusalReason.RAW)
            return refuse_on_error(partial(parse, data))
    raise RefusedError(RefusalReason.FORMAT)


def refuse_on_error(call: Callable[[], _Result]) -> _Result:
    """What `call` returns; any error that an invalid file may cause becomes a refusal."""
    try:
        return call()
    except (ValueError, IndexError, KeyError, StopIteration, struct.error) as error:
        detail = f"{type(error).__name__}: {error}"
        raise RefusedError(RefusalReason.MALFORMED, detail) from error
    except RecursionError as error:
        raise RefusedError(RefusalReason.XMP_DEEP) from error


def _read_iptc(block: Block) -> tuple[list[str], list[str], list[RefusedError]]:
    """Captions and keywords in IPTC or image resources, and why there may be more."""
    errors = []
    parts = [block.data]
    if block.kind == "photoshop":
        resources, end = iptc.valid_resources(block.data)
        parts = [resource.data for resource in resources if resource.number == IPTC_RESOURCE]
        if block.data[end:].strip(b"\0"):
            errors.append(RefusedError(RefusalReason.MALFORMED, "image resources"))
    captions: list[str] = []
    keywords: list[str] = []
    for part in parts:
        found, words, error = iptc.read_tolerantly(part)
        captions += found
        keywords += words
        errors += [error] if error else []
    return captions, keywords, errors
