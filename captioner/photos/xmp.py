"""Texts in XMP packets, in whichever of the forms that programs write."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from xml.parsers import expat

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DESCRIPTION = f"{_RDF} Description"
_ENTRY = f"{_RDF} li"
_LARGEST = 1 << 20
_DEEPEST = 100


class _StrangeError(Exception):
    """Not a packet that a photo program writes."""


def texts(packet: bytes, names: Collection[str]) -> dict[str, list[str]]:
    """What the properties of some names say, each a list: of entries, or of one plain text.

    Understands lists and alternatives, plain text and attributes, in any number of descriptions.
    Whatever is not as it should be gives what was found before it.

    Parameters
    ----------
    names
        Each a namespace, a space and the property's name.
    """
    found: dict[str, list[str]] = {}
    path: list[str] = []
    pieces: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag)
        if len(path) > _DEEPEST:
            raise _StrangeError
        if tag == _DESCRIPTION:
            for name in attributes.keys() & names:
                found.setdefault(name, []).append(attributes[name])
        pieces.clear()

    def end(tag: str) -> None:
        path.pop()
        # <dc:subject><rdf:Bag><rdf:li>…, or <dc:description>…
        name = path[-2] if tag == _ENTRY and len(path) > 1 else tag
        text = "".join(pieces).strip()
        if text and name in names:
            found.setdefault(name, []).append(text)
        pieces.clear()

    def refuse(*_: object) -> None:
        raise _StrangeError  # entities can grow without bounds, and read other files

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = pieces.append
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    with suppress(expat.ExpatError, _StrangeError, ValueError, LookupError):
        parser.Parse(packet[:_LARGEST].strip(b"\0"), True)
    return found
