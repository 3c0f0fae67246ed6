"""The elements of an XML document, and the bytes at which each of them stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from captioner.metadata.refusal import Reason, Refused

_DEEPEST = 100
_LARGEST = 16 * 2**20
_START_TAG = re.compile(
    rb"<[^\s/>]+(?:\s+[^\s=/>]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>", re.DOTALL
)


@dataclass(slots=True)
class Node:
    """An element and where it stands: `start` <tag> `inner` … `close` </tag> `end`, in bytes."""

    name: str
    prefix: str
    attributes: dict[str, tuple[str, str]]
    """Full name to value and the prefix it was written with."""
    start: int
    inner: int
    is_empty_tag: bool
    """Written as `<a/>`: there is no place inside it."""
    close: int = 0
    end: int = 0
    children: list[Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def tag(self, local: str) -> str:
        """The name of a sibling in the same namespace, as it is written here."""
        return f"{self.prefix}:{local}" if self.prefix else local

    def all_text(self) -> str:
        """Its text and that of all elements in it."""
        return "".join([*self.pieces, *(child.all_text() for child in self.children)])


class Tree:
    """A document that was parsed.

    Raises
    ------
    Refused
        Where it is no well-formed UTF-8, is very deep or large, or declares entities.
    """

    def __init__(self, document: bytes) -> None:
        if len(document) > _LARGEST:
            raise Refused(Reason.TOO_LARGE)
        if document[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in document[:4]:
            raise Refused(Reason.XMP_ENCODING)
        self.root = Node("", "", {}, 0, 0, False)
        """Above the first element."""
        self.prefixes: dict[str, str] = {}
        """Of each namespace the first that is declared."""
        self._document = document
        self._open = [self.root]
        # Expat counts in bytes, as no other parser at hand does.
        self._parser = parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_entities
        parser.EntityDeclHandler = self._refuse_entities
        parser.XmlDeclHandler = self._check_encoding
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(document.rstrip(b"\0"), True)
        except expat.ExpatError as error:
            raise Refused(Reason.XMP_MALFORMED, str(error)) from error
        finally:
            del self._parser  # It refers to the tree: neither would be freed before long.

    def _refuse_entities(self, *_: object) -> None:
        raise Refused(Reason.XMP_ENTITIES)

    def _check_encoding(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
            raise Refused(Reason.XMP_ENCODING)

    def _declare(self, prefix: str | None, namespace: str | None) -> None:
        if prefix and namespace:
            self.prefixes.setdefault(namespace, prefix)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise Refused(Reason.XMP_DEEP)
        at = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._document, at)
        if not tag:
            raise Refused(Reason.XMP_MALFORMED)
        qualified, prefix = _split(name)
        named = {}
        for spelled, value in attributes.items():
            attribute, its_prefix = _split(spelled)
            named[attribute] = (value, its_prefix)
        node = Node(qualified, prefix, named, at, tag.end(), tag.group().endswith(b"/>"))
        self._open[-1].children.append(node)
        self._open.append(node)

    def _end(self, _: str) -> None:
        node = self._open.pop()
        if node.is_empty_tag:
            node.close = node.end = node.inner
        else:
            node.close = self._parser.CurrentByteIndex
            node.end = self._document.index(b">", node.close) + 1

    def _text(self, piece: str) -> None:
        self._open[-1].pieces.append(piece)


def _split(spelled: str) -> tuple[str, str]:
    """A name as expat spells it, without and with its prefix: `uri local [prefix]`."""
    parts = spelled.split(" ")
    return " ".join(parts[:2]), parts[2] if len(parts) > 2 else ""
