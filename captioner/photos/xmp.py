"""Texts of XMP properties, read tolerantly in all forms that programs write."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from xml.parsers import expat

from captioner.formats import xmp
from captioner.formats.xmp import NAMESPACES, RDF

MAX_PACKET_BYTES = 1 << 20

_MAX_DEPTH = 100
_TOKEN = re.compile(
    r"<!--.*?(?:-->|$)|<\?.*?(?:\?>|$)|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|$)"
    r"|<!(?P<doctype>[A-Za-z])|</\s*(?P<end>[^\s<>/]+)(?:[\s/][^<>]*)?>"
    r"|<(?P<start>[A-Za-z_][^\s<>/=\"']*)"
    r"(?P<rest>(?:[\s/](?:\"[^\"<]*\"|'[^'<]*'|[^<>\"'])*)?)>",
    re.DOTALL,
)
# Both take linear time, whatever the text: no two parts that follow each other can match the same
# character.
_ATTRIBUTE = re.compile(r"(?<![^\s\"'])([^\s=\"'/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.DOTALL)
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_XML_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


class _UnsupportedPacketError(Exception):
    """The packet is nothing that a photo program writes."""


def read_properties(packet: bytes, names: Collection[str]) -> dict[str, list[str]]:
    """The texts of some properties, each a list: of a list's entries, or of one plain text.

    Understands lists, alternatives, structures, plain text and attributes, in any number of
    descriptions. A packet that is not well-formed (a stray `&`, a byte of Latin-1, a control
    character, an undeclared prefix, an attribute given twice, a missing end tag) is read as far as
    possible.

    Parameters
    ----------
    names
        As `formats.xmp.qualified` gives them: namespace, space, local name.
    """
    packet = _to_utf_8(packet[:MAX_PACKET_BYTES]).strip(b"\0")
    found = _PropertyTexts(names)
    try:
        _parse(packet, found)
    except expat.ExpatError:
        found = _PropertyTexts(names)
        with suppress(_UnsupportedPacketError):
            _parse_malformed(_decode(packet), found)
    except (_UnsupportedPacketError, ValueError, LookupError):
        pass  # what was found so far is returned
    return found.texts


class _PropertyTexts:
    """The texts of the properties wanted, gathered from a parser's events."""

    def __init__(self, names: Collection[str]) -> None:
        self.texts: dict[str, list[str]] = {}
        self._names = frozenset(names)
        self._path: list[str] = []
        self._pieces: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) > _MAX_DEPTH:
            raise _UnsupportedPacketError
        for name in attributes.keys() & self._names:
            self._add(name, attributes[name])
        self._pieces.clear()

    def text(self, piece: str) -> None:
        self._pieces.append(piece)

    def end(self, tag: str) -> None:
        # <dc:subject><rdf:Bag><rdf:li>…, or <dc:description>…: the text belongs to the innermost
        # element that is not one of RDF's own.
        name = next((one for one in reversed(self._path) if not one.startswith(RDF)), tag)
        self._path.pop()
        if name in self._names:
            self._add(name, "".join(self._pieces))
        self._pieces.clear()

    def close(self, tag: str) -> None:
        """End an element and those in it that were never ended; ignore one that was not begun."""
        if tag in self._path:
            while self._path[-1] != tag:
                self.end(self._path[-1])
            self.end(tag)

    def close_all(self) -> None:
        while self._path:
            self.end(self._path[-1])

    def _add(self, name: str, text: str) -> None:
        if text := text.strip():
            self.texts.setdefault(name, []).append(text)


def _parse(packet: bytes, found: _PropertyTexts) -> None:
    def refuse(*_: object) -> None:
        raise _UnsupportedPacketError  # entities can grow without bounds, and read other files

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(packet, True)


def _parse_malformed(packet: str, found: _PropertyTexts) -> None:
    """Read tags and texts one after the other, whatever is wrong between them."""
    namespaces = dict(NAMESPACES)
    at = 0
    for token in _TOKEN.finditer(packet):
        found.text(_unescape(packet[at : token.start()]))
        at = token.end()
        if token["doctype"]:
            raise _UnsupportedPacketError
        if token["cdata"] is not None:
            found.text(token["cdata"])
        elif token["end"]:
            found.close(_resolve(token["end"], namespaces))
        elif token["start"]:
            attributes = dict(_attributes(token["rest"]))
            for name, value in attributes.items():
                if name.startswith("xmlns:"):
                    namespaces[name.removeprefix("xmlns:")] = value
            tag = _resolve(token["start"], namespaces)
            found.start(tag, {_resolve(name, namespaces): at for name, at in attributes.items()})
            if token["rest"].endswith("/"):
                found.end(tag)
    found.text(_unescape(packet[at:].partition("<")[0]))  # of a packet that was cut short
    found.close_all()


def _attributes(rest: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for name, double, single in _ATTRIBUTE.findall(rest):
        if name not in seen:
            seen.add(name)
            yield name, _unescape(double or single)


def _resolve(name: str, namespaces: dict[str, str]) -> str:
    prefix, colon, local = name.partition(":")
    return f"{namespaces.get(prefix, prefix)} {local}" if colon else name


def _unescape(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        decimal, hexadecimal, entity = found.groups()
        if entity:
            return _ENTITIES[entity]
        number = int(decimal) if decimal else int(hexadecimal, 16)
        return chr(number) if number < 0x110000 else ""

    return _REFERENCE.sub(character, text)


def _to_utf_8(packet: bytes) -> bytes:
    """A packet in UTF-16 or UTF-32 as UTF-8; any other unchanged."""
    if encoding := xmp.wide_encoding(packet):
        text = xmp.decode(packet, encoding, "replace")
        return _XML_DECLARATION.sub("", text, count=1).encode()
    return packet


def _decode(packet: bytes) -> str:
    return decode_utf8_or_cp1252(packet.removeprefix(codecs.BOM_UTF8))


def decode_utf8_or_cp1252(text: bytes) -> str:
    """Bytes as UTF-8, but those among them that are not as Windows' Western European letters."""
    return text.decode("utf-8", _CP1252_HANDLER)


def _decode_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    try:
        return wrong.decode("cp1252"), error.end
    except UnicodeDecodeError:
        return wrong.decode("latin-1"), error.end


_CP1252_HANDLER = "captioner-latin"
_handler: Callable[[UnicodeError], tuple[str, int]] = _decode_cp1252
codecs.register_error(_CP1252_HANDLER, _handler)
