"""Texts in XMP packets, in whichever of the forms that programs write, well-formed or nearly so."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from xml.parsers import expat

LARGEST = 1 << 20
"""Bytes of a packet that are read."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DEEPEST = 100
_PREFIXES = {
    "rdf": _RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xap": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "captioner": "https://captioner.dev/ns/1.0/",
}
"""What a prefix that is used without being declared stands for."""

_TOKEN = re.compile(
    r"<!--.*?(?:-->|$)|<\?.*?(?:\?>|$)|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|$)"
    r"|<!(?P<doctype>[A-Za-z])|</\s*(?P<end>[^\s<>/]+)(?:[\s/][^<>]*)?>"
    r"|<(?P<start>[A-Za-z_][^\s<>/=\"']*)"
    r"(?P<rest>(?:[\s/](?:\"[^\"<]*\"|'[^'<]*'|[^<>\"'])*)?)>",
    re.DOTALL,
)
# Both take time in proportion to the text, whatever stands in it: no two parts that follow each
# other can share a character.
_ATTRIBUTE = re.compile(r"(?<![^\s\"'])([^\s=\"'/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.DOTALL)
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_WIDE_STARTS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")


class _StrangeError(Exception):
    """Not a packet that a photo program writes."""


def qualified(name: str) -> str:
    """A property's full name, for `texts`, from the usual one: "dc:title"."""
    prefix, _, local = name.partition(":")
    return f"{_PREFIXES[prefix]} {local}"


def texts(packet: bytes, names: Collection[str]) -> dict[str, list[str]]:
    """What the properties of some names say, each a list: of entries, or of one plain text.

    Understands lists, alternatives, structures, plain text and attributes, in any number of
    descriptions. A packet that is not well-formed (a stray `&`, a byte of Latin-1, a control
    character, a prefix that is not declared, an attribute given twice, a tag without its end) is
    read as far as it makes sense.

    Parameters
    ----------
    names
        As `qualified` spells them: a namespace, a space and the property's name.
    """
    packet = _narrow(packet[:LARGEST]).strip(b"\0")
    found = _Texts(names)
    try:
        _parse(packet, found)
    except expat.ExpatError:
        found = _Texts(names)
        with suppress(_StrangeError):
            _parse_ill_formed(_decoded(packet), found)
    except (_StrangeError, ValueError, LookupError):
        pass  # what was found before it stands
    return found.texts


class _Texts:
    """The texts of the properties wanted, gathered from a parser's events."""

    def __init__(self, names: Collection[str]) -> None:
        self.texts: dict[str, list[str]] = {}
        self._names = frozenset(names)
        self._path: list[str] = []
        self._pieces: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) > _DEEPEST:
            raise _StrangeError
        for name in attributes.keys() & self._names:
            self._add(name, attributes[name])
        self._pieces.clear()

    def text(self, piece: str) -> None:
        self._pieces.append(piece)

    def end(self, tag: str) -> None:
        # <dc:subject><rdf:Bag><rdf:li>…, or <dc:description>…: the text belongs to the innermost
        # element that is not one of RDF's own.
        name = next((one for one in reversed(self._path) if not one.startswith(_RDF)), tag)
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


def _parse(packet: bytes, found: _Texts) -> None:
    def refuse(*_: object) -> None:
        raise _StrangeError  # entities can grow without bounds, and read other files

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(packet, True)


def _parse_ill_formed(packet: str, found: _Texts) -> None:
    """Read tags and texts one after the other, whatever is wrong between them."""
    spaces = dict(_PREFIXES)
    at = 0
    for token in _TOKEN.finditer(packet):
        found.text(_unescaped(packet[at : token.start()]))
        at = token.end()
        if token["doctype"]:
            raise _StrangeError
        if token["cdata"] is not None:
            found.text(token["cdata"])
        elif token["end"]:
            found.close(_resolved(token["end"], spaces))
        elif token["start"]:
            attributes = dict(_attributes(token["rest"]))
            for name, value in attributes.items():
                if name.startswith("xmlns:"):
                    spaces[name.removeprefix("xmlns:")] = value
            tag = _resolved(token["start"], spaces)
            found.start(tag, {_resolved(name, spaces): at for name, at in attributes.items()})
            if token["rest"].endswith("/"):
                found.end(tag)
    found.text(_unescaped(packet[at:].partition("<")[0]))  # of a packet that was cut short
    found.close_all()


def _attributes(rest: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for name, double, single in _ATTRIBUTE.findall(rest):
        if name not in seen:
            seen.add(name)
            yield name, _unescaped(double or single)


def _resolved(name: str, spaces: dict[str, str]) -> str:
    prefix, colon, local = name.partition(":")
    return f"{spaces.get(prefix, prefix)} {local}" if colon else name


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        decimal, hexadecimal, entity = found.groups()
        if entity:
            return _ENTITIES[entity]
        number = int(decimal) if decimal else int(hexadecimal, 16)
        return chr(number) if number < 0x110000 else ""

    return _REFERENCE.sub(character, text)


def _narrow(packet: bytes) -> bytes:
    """A packet in UTF-16 or UTF-32, marked as that or not, as UTF-8; any other as it is."""
    for start, encoding in _WIDE_STARTS:
        if packet.startswith(start):
            return _DECLARATION.sub("", packet.decode(encoding, "replace"), count=1).encode()
    return packet


def _decoded(packet: bytes) -> str:
    return utf_8_or_latin(packet.removeprefix(codecs.BOM_UTF8))


def utf_8_or_latin(text: bytes) -> str:
    """Bytes as UTF-8, but those among them that are not as Windows' Western European letters."""
    return text.decode("utf-8", _LATIN)


def _latin(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    try:
        return wrong.decode("cp1252"), error.end
    except UnicodeDecodeError:
        return wrong.decode("latin-1"), error.end


_LATIN = "captioner-latin"
_handler: Callable[[UnicodeError], tuple[str, int]] = _latin
codecs.register_error(_LATIN, _handler)
