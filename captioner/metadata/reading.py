"""A photo's bytes: taken apart as its format has them, and what they say."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from captioner.metadata import exif, iptc, provenance
from captioner.metadata.container import Container
from captioner.metadata.jpeg import Jpeg
from captioner.metadata.png import Png
from captioner.metadata.provenance import Content, Text
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.tiff import TiffFile
from captioner.metadata.webp import WebP

LARGEST = 2**30
"""Bytes of a file that is written in place; it is held in memory twice."""

_Result = TypeVar("_Result")


_KINDS: tuple[tuple[bytes, Callable[[bytes], Container]], ...] = (
    (b"\xff\xd8", Jpeg),
    (b"\x89PNG", Png),
    (b"RIFF", WebP),
    (b"II", TiffFile),
    (b"MM", TiffFile),
)
_TIFF_SUFFIXES = (".tif", ".tiff")
_PACKET = re.compile(rb"<x:xmpmeta[\s>].*?</x:xmpmeta\s*>", re.DOTALL)
_EXIF_BLOCK = re.compile(rb"Exif\0\0(?:II\*\0|MM\0\*)")


def read_photo(data: bytes) -> Content:
    """All that a photo says, whatever its format; what cannot be understood is left out."""
    try:
        return content_of(take_apart(data))
    except Refused:
        return _found(data)


def take_apart(data: bytes, suffix: str = ".tif") -> Container:
    """The file as its format has it.

    Parameters
    ----------
    suffix
        How its name ends: most raw formats are TIFF by their content.

    Raises
    ------
    Refused
        Where captioner does not write into it.
    """
    if len(data) > LARGEST:
        raise Refused(Reason.TOO_LARGE)
    for start, kind in _KINDS:
        if data.startswith(start):
            if kind is TiffFile and suffix.lower() not in _TIFF_SUFFIXES:
                raise Refused(Reason.RAW)
            return unbroken(partial(kind, data))
    raise Refused(Reason.FORMAT)


def unbroken(act: Callable[[], _Result]) -> _Result:
    """What `act` returns; whatever it stumbles over is a refusal."""
    try:
        return act()
    except (ValueError, IndexError, KeyError, StopIteration, struct.error) as error:
        raise Refused(Reason.MALFORMED, f"{type(error).__name__}: {error}") from error
    except RecursionError as error:
        raise Refused(Reason.XMP_DEEP) from error


def content_of(container: Container) -> Content:
    """All that a photo says that was taken apart.

    Raises
    ------
    Refused
        Where its XMP cannot be understood.
    """
    packet = container.xmp
    content = provenance.read_xmp(packet) if packet and packet.strip(b"\0 \r\n\t") else Content()
    texts = list(content.texts)
    keywords = list(content.keywords)
    if isinstance(container, Jpeg) and container.more_xmp:
        more = _tolerant(container.more_xmp)
        texts += more.texts
    if container.exif:
        texts += [Text(field, text) for field, text in exif.texts(container.exif)]
    for block in _iptc_blocks(container):
        texts += [Text("IPTC caption", text) for text in iptc.texts(block, iptc.CAPTION)]
        keywords += [w for w in iptc.texts(block, iptc.KEYWORD) if w not in keywords]
    texts += [Text(field, text) for field, text in container.comments]
    return Content(tuple(texts), content.alts, tuple(keywords), content.mark)


def _iptc_blocks(container: Container) -> Iterator[bytes]:
    """The IPTC of a file, as far as it can be read."""
    found = [container.iptc] if isinstance(container, TiffFile) else []
    if container.photoshop:
        with suppress(Refused):
            found.append(iptc.iptc_of(container.photoshop))
    for block in found:
        try:
            if block and iptc.datasets(block):
                yield block
        except Refused:
            continue


def _tolerant(packet: bytes) -> Content:
    try:
        return provenance.read_xmp(packet)
    except (Refused, ValueError, RecursionError):
        return Content()


def _found(data: bytes) -> Content:
    """What stands in a file of another format, such as HEIC, or in one that does not add up."""
    info = _information(data)
    content = Content()
    if wrapped := _PACKET.search(data):
        content = _tolerant(wrapped.group())
    elif isinstance(packet := info.get("xmp"), bytes):
        content = _tolerant(packet)
    texts = list(content.texts)
    if found := _EXIF_BLOCK.search(data):
        texts += [Text(*said) for said in exif.texts(data[found.end() - 4 :][: 2**16])]
    elif isinstance(block := info.get("exif"), bytes):
        texts += [Text(*said) for said in exif.texts(block.removeprefix(b"Exif\0\0"))]
    elif data.startswith((b"II", b"MM")):
        texts += [Text(*said) for said in exif.texts(data)]
    if isinstance(comment := info.get("comment"), bytes):
        texts.append(Text("comment", comment.decode("utf-8", "replace")))
    return replace(content, texts=tuple(texts))


def _information(data: bytes) -> dict[Any, Any]:
    """What Pillow finds in a file beside the picture."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            return dict(image.info)
    except Exception:  # Pillow raises anything over what it cannot read.
        return {}
