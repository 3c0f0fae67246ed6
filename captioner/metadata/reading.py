"""A photo's bytes: taken apart as its format has them, and what they say."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from captioner.metadata import exif, iptc, provenance
from captioner.metadata.container import Container
from captioner.metadata.jpeg import Jpeg
from captioner.metadata.png import Png
from captioner.metadata.provenance import Content, Text
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.survey import EXTENDED, Block, survey
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


def read_photo(data: bytes) -> Content:
    """All that a photo says, whatever its format; with why some of it could not be read."""
    found = survey(data)
    content = Content()
    texts: list[Text] = []
    keywords: list[str] = []
    unread = list(found.unread)
    for block in found.blocks:
        if block.kind == "xmp":
            said = provenance.read_tolerantly(block.data)
            unread += said.unread
            if not block.prefix:
                content = said
                texts += said.texts
                keywords += said.keywords
            elif block.prefix == EXTENDED:
                texts += said.texts
            else:  # It has a mark of its own.
                texts += [
                    replace(text, field=f"{block.prefix}{text.field}")
                    for text in said.persons(said.texts)
                ]
        elif block.kind == "exif":
            tags, errors = exif.texts(block.data)
            unread += errors
            texts += [Text(f"{block.prefix}{name}", text) for name, text in tags]
        else:
            captions, words, errors = _iptc(block)
            unread += errors
            texts += [Text(f"{block.prefix}IPTC caption", text) for text in captions]
            keywords += [word for word in words if word not in keywords]
    texts += [Text(*said) for said in found.texts]
    return replace(content, texts=tuple(texts), keywords=tuple(keywords), unread=tuple(unread))


def _iptc(block: Block) -> tuple[list[str], list[str], list[Refused]]:
    """Captions and keywords in IPTC or image resources, and why there may be more."""
    errors = []
    parts = [block.data]
    if block.kind == "photoshop":
        resources, end = iptc.resources_until(block.data)
        parts = [resource.data for resource in resources if resource.number == iptc.IPTC]
        if block.data[end:].strip(b"\0"):
            errors.append(Refused(Reason.MALFORMED, "image resources"))
    captions: list[str] = []
    keywords: list[str] = []
    for part in parts:
        found, words, error = iptc.readable(part)
        captions += found
        keywords += words
        errors += [error] if error else []
    return captions, keywords, errors


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
