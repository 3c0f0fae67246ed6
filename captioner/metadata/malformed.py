"""Captions in XMP that no parser accepts: good enough to show, never a reason to write."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator

from captioner.formats import xmp
from captioner.formats.xmp import DESCRIPTIONS
from captioner.metadata.errors import RefusalReason, RefusedError

_MAX_BYTES = 1 << 20
_MAX_TEXTS = 32
_XML_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*\?>")
_ENCODING = re.compile(rb"^\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_SINGLE_BYTE_ENCODINGS = ("iso8859-1", "cp1252", "ascii")
_WRAPPER = re.compile(rb"<\?(?:xpacket|xml)\b[^>]*\?>")
_PADDING = b"\0 \t\r\n\xef\xbb\xbf"

_NAMES = {name.partition(":")[2]: name for name in DESCRIPTIONS}
"""Names of the properties for captions, by their local names."""
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
    return len(packet) <= _MAX_BYTES and not _WRAPPER.sub(b"", packet).strip(_PADDING)


def to_utf_8(packet: bytes) -> bytes:
    """A packet in UTF-8, from whichever encoding it is declared to be in.

    Raises
    ------
    RefusedError
        If its bytes are invalid in that encoding.
    """
    encoding = _encoding(packet)
    if encoding is None:
        return packet
    try:
        text = xmp.decode(packet, encoding)
    except UnicodeDecodeError as error:
        raise RefusedError(RefusalReason.XMP_ENCODING) from error
    return _XML_DECLARATION.sub("", text).encode(errors="replace")


def mentions_description(packet: bytes) -> bool:
    """Whether the name of a property for captions occurs in a packet."""
    text = _decode(packet)
    return any(re.search(rf"[<:\s]{name}[\s=>/]", text) for name in _NAMES)


def find_texts(packet: bytes) -> Iterator[tuple[str, str]]:
    """Property and text of whatever looks like a caption in a packet that is not XML."""
    text = _decode(packet)
    seen = set()
    for name, found in _candidates(text):
        plain = " ".join(html.unescape(_TAG.sub(" ", found)).split())
        if plain and (name, plain) not in seen:
            seen.add((name, plain))
            yield _NAMES[name], plain
            if len(seen) == _MAX_TEXTS:
                return


def _candidates(text: str) -> Iterator[tuple[str, str]]:
    for element in _ELEMENT.finditer(text):
        name, inner = element.groups()
        entries = _ENTRY.findall(inner)
        yield from ((name, entry) for entry in entries or [inner])
    for attribute in _ATTRIBUTE.finditer(text):
        name, double, single = attribute.groups()
        yield name, double or single or ""


def _encoding(packet: bytes) -> str | None:
    """The encoding of a packet; None for UTF-8."""
    if encoding := xmp.wide_encoding(packet):
        return encoding
    if declared := _ENCODING.match(packet[:200].removeprefix(codecs.BOM_UTF8)):
        try:
            name = codecs.lookup(declared[1].decode()).name
        except LookupError:
            return None  # which the parser refuses
        return name if name in _SINGLE_BYTE_ENCODINGS else None
    return None


def _decode(packet: bytes) -> str:
    """A packet as text; bytes that are not UTF-8 are taken for Latin-1."""
    packet = packet[:_MAX_BYTES]
    if encoding := _encoding(packet):
        return packet.decode(encoding, "replace")
    text = packet.decode("utf-8", "surrogateescape")
    return _INVALID.sub(lambda found: chr(ord(found[0]) - 0xDC00), text).replace("\0", "")
