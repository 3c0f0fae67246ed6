"""Descriptions in XMP that no parser accepts: good enough to show, never a ground for writing."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator

from captioner.metadata.refusal import Reason, Refused

_LARGEST = 1 << 20
_MOST = 32
_XML_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*\?>")
_ENCODING = re.compile(rb"^\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE_STARTS = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_SINGLE_BYTE = ("iso8859-1", "cp1252", "ascii")
_WRAPPER = re.compile(rb"<\?(?:xpacket|xml)\b[^>]*\?>")
_PADDING = b"\0 \t\r\n\xef\xbb\xbf"

_NAMES = {
    "description": "dc:description",
    "ImageDescription": "tiff:ImageDescription",
    "UserComment": "exif:UserComment",
    "notes": "acdsee:notes",
    "caption": "acdsee:caption",
    "ExtDescrAccessibility": "Iptc4xmpCore:ExtDescrAccessibility",
}
_ANY_NAME = "|".join(_NAMES)
_ELEMENT = re.compile(
    rf"<(?:[\w.-]*:)?({_ANY_NAME})(?:\s[^<>]*)?(?<!/)>(.*?)(?:</(?:[\w.-]*:)?\1\s*>|\Z)", re.DOTALL
)
_ATTRIBUTE = re.compile(
    rf"\s(?:[\w.-]*:)?({_ANY_NAME})\s*=\s*(?:\"([^\"]*)\"?|'([^']*)'?)", re.DOTALL
)
_ENTRY = re.compile(r"<(?:[\w.-]*:)?li(?:\s[^<>]*)?>((?:[^<]|<(?![/A-Za-z_]))*)")
_TAG = re.compile(r"</?[A-Za-z_][^<>]*>?")
_INVALID = re.compile("[\udc80-\udcff]")


def is_blank(packet: bytes) -> bool:
    """Whether a packet holds nothing but padding and its wrapper."""
    return len(packet) <= _LARGEST and not _WRAPPER.sub(b"", packet).strip(_PADDING)


def as_utf8(packet: bytes) -> bytes:
    """A packet in UTF-8, whichever of the encodings of XML it is declared to be in.

    Raises
    ------
    Refused
        Where its bytes are not of that encoding.
    """
    encoding = _encoding(packet)
    if encoding is None:
        return packet
    try:
        text = packet.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refused(Reason.XMP_ENCODING) from error
    return _XML_DECLARATION.sub("", text).encode(errors="replace")


def mentions(packet: bytes) -> bool:
    """Whether the name of a property that holds descriptions occurs in a packet."""
    text = _decoded(packet)
    return any(re.search(rf"[<:\s]{name}[\s=>/]", text) for name in _NAMES)


def texts(packet: bytes) -> Iterator[tuple[str, str]]:
    """Property and text of whatever looks like a description in a packet that is not XML."""
    text = _decoded(packet)
    seen = set()
    for name, said in _found(text):
        plain = " ".join(html.unescape(_TAG.sub(" ", said)).split())
        if plain and (name, plain) not in seen:
            seen.add((name, plain))
            yield _NAMES[name], plain
            if len(seen) == _MOST:
                return


def _found(text: str) -> Iterator[tuple[str, str]]:
    for element in _ELEMENT.finditer(text):
        name, inner = element.groups()
        entries = _ENTRY.findall(inner)
        yield from ((name, said) for said in entries or [inner])
    for attribute in _ATTRIBUTE.finditer(text):
        name, double, single = attribute.groups()
        yield name, double or single or ""


def _encoding(packet: bytes) -> str | None:
    """Which encoding a packet is in; None for UTF-8."""
    for start, encoding in (*_BYTE_ORDER_MARKS, *_WIDE_STARTS):
        if packet.startswith(start):
            return encoding
    if declared := _ENCODING.match(packet[:200].removeprefix(codecs.BOM_UTF8)):
        try:
            name = codecs.lookup(declared[1].decode()).name
        except LookupError:
            return None  # which the parser refuses
        return name if name in _SINGLE_BYTE else None
    return None


def _decoded(packet: bytes) -> str:
    """A packet as text; what is not UTF-8 in it is taken for Latin-1."""
    packet = packet[:_LARGEST]
    if encoding := _encoding(packet):
        return packet.decode(encoding, "replace")
    text = packet.decode("utf-8", "surrogateescape")
    return _INVALID.sub(lambda found: chr(ord(found[0]) - 0xDC00), text).replace("\0", "")
