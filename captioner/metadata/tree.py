"""Parsed XML elements with their byte offsets in the document."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from captioner.metadata.errors import RefusalReason, RefusedError

_MAX_DEPTH = 100
_MAX_BYTES = 16 * 2**20
_START_TAG = re.compile(
    rb"<[^\s/>]+(?:\s+[^\s=/>]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*/?>", re.DOTALL
)


@dataclass(slots=True)
class Node:
    """An element and its byte offsets: `start` <tag> `inner` … `close` </tag> `end`."""

    name: str
    prefix: str
    attributes: dict[str, tuple[str, str]]
    """By qualified name: the value, and the prefix used in the document."""
    start: int
    inner: int
    is_empty_tag: bool
    """Whether it is written as `<a/>`, so that nothing can be inserted into it."""
    close: int = 0
    end: int = 0
    children: list[Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def tag(self, local: str) -> str:
        """The tag of another element in the same namespace, with the prefix used here."""
        return f"{self.prefix}:{local}" if self.prefix else local

    def all_text(self) -> str:
        """Its text, including that of all elements in it."""
        return "".join([*self.pieces, *(child.all_text() for child in self.children)])


class Tree:
    """A parsed document.

    Raises
    ------
    RefusedError
        If it is not well-formed, not UTF-8, too deep or too large, or declares entities.
    """

    def __init__(self, document: bytes) -> None:
        if len(document) > _MAX_BYTES:
            raise RefusedError(RefusalReason.TOO_LARGE)
        if document[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in document[:4]:
            raise RefusedError(RefusalReason.XMP_ENCODING)
        self.root = Node("", "", {}, 0, 0, False)
        """Parent of the first element."""
        self.prefixes: dict[str, str] = {}
        """The first prefix declared for each namespace."""
        self._document = document
        self._open = [self.root]
        # Expat alone gives offsets in bytes.
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
            raise RefusedError(RefusalReason.XMP_MALFORMED, str(error)) from error
        finally:
            del self._parser  # It refers to the tree, so that neither would be freed soon.

    def _refuse_entities(self, *_: object) -> None:
        raise RefusedError(RefusalReason.XMP_ENTITIES)

    def _check_encoding(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
            raise RefusedError(RefusalReason.XMP_ENCODING)

    def _declare(self, prefix: str | None, namespace: str | None) -> None:
        if prefix and namespace:
            self.prefixes.setdefault(namespace, prefix)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _MAX_DEPTH:
            raise RefusedError(RefusalReason.XMP_DEEP)
        at = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._document, at)
        if not tag:
            raise RefusedError(RefusalReason.XMP_MALFORMED)
        qualified, prefix = _split(name)
        named = {}
        for expat_name, value in attributes.items():
            attribute, its_prefix = _split(expat_name)
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


def _split(expat_name: str) -> tuple[str, str]:
    """Qualified name and prefix of a name from expat, `namespace local [prefix]`."""
    parts = expat_name.split(" ")
    return " ".join(parts[:2]), parts[2] if len(parts) > 2 else ""
