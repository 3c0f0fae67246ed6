"""XMP packets, parsed strictly and changed by position, so that all else keeps every byte.

A packet is parsed only to find out where its elements are; it is never serialised again. Anything
unusual is refused, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

from captioner.formats.xmp import NAMESPACES, qualified
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice
from captioner.metadata.tree import Node, Tree

DEFAULT_LANGUAGE = "x-default"
"""The language that programs show if there is no better one."""

_XML_LANG = "http://www.w3.org/XML/1998/namespace lang"
_PADDING = (b" " * 99 + b"\n") * 20
_ATTRIBUTES = re.compile(rb"\s+([^\s=]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of a property, in one language."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class PacketChanges:
    """Changes to the properties of a packet, by names such as "dc:description"."""

    remove: tuple[str, ...] = ()
    """Properties to remove, whatever they hold."""
    remove_items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Items to remove from lists."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts to write, each replacing the property if it is there."""
    append: Mapping[str, str] = field(default_factory=dict)
    """Text to append to that of properties in the default language."""
    add_items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Items to add to lists, whose other items stay."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Plain values to write, each replacing the property if it is there."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists to write, each replacing the property if it is there."""


class XmpPacket:
    """A parsed packet.

    Parameters
    ----------
    packet
        UTF-8.

    Raises
    ------
    RefusedError
        If it is anything but one plain RDF document.
    """

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        tree = Tree(packet)
        self._prefixes = tree.prefixes
        self._rdf = _find_rdf(tree.root)
        described = qualified("rdf:Description")
        if any(node.name != described for node in self._rdf.children) or self._rdf.is_empty_tag:
            raise RefusedError(RefusalReason.XMP_FORM)
        self._subjects = self._rdf.children

    def texts(self, name: str) -> list[Entry]:
        """All texts of a property, in any form that programs write."""
        found = [
            Entry(DEFAULT_LANGUAGE, node.attributes[qualified(name)][0])
            for node in self._with_attribute(name)
        ]
        for node in self._properties(name):
            entries = list(_entries(node))
            found += [Entry(_language(entry), entry.all_text().strip()) for entry in entries]
            if not entries:
                resource = node.attributes.get(qualified("rdf:resource"), ("", ""))[0]
                found.append(Entry(_language(node), node.all_text().strip() or resource))
        return found

    def texts_of_other_namespaces(self, name: str) -> list[Entry]:
        """The texts of properties with the same prefix and name in another namespace.

        Programs such as exiftool go by the prefix, and show them.
        """
        prefix, _, local = name.partition(":")
        found = []
        for subject in self._subjects:
            for expat_name, (value, used) in subject.attributes.items():
                if used == prefix and _is_of_other_namespace(expat_name, name, local):
                    found.append(Entry(DEFAULT_LANGUAGE, value))
            found += [
                Entry(_language(node), node.all_text().strip())
                for node in subject.children
                if node.prefix == prefix and _is_of_other_namespace(node.name, name, local)
            ]
        return found

    def items(self, name: str) -> list[str]:
        """The items of a list that are not empty."""
        return [entry.text for entry in self.texts(name) if entry.text]

    def value(self, name: str) -> str | None:
        """The value of a plain property; None if there is none, or several."""
        found = self.texts(name)
        return found[0].text if len(found) == 1 else None

    def other_properties(self, *names: str) -> list[object]:
        """All properties except these, for comparison."""
        excluded = {qualified(name) for name in names}
        found: list[object] = []
        for subject in self._subjects:
            about = _about(subject)
            for name, (value, _) in subject.attributes.items():
                if name not in excluded and name not in _ABOUT:
                    found.append((about, name, value))
            found += [(about, *_shape(n)) for n in subject.children if n.name not in excluded]
        return sorted(found, key=repr)

    def edit(self, changes: PacketChanges) -> list[Splice]:
        """The splices that make the changes; growth is taken from the padding if there is any.

        Raises
        ------
        RefusedError
            If a list or text is in a form to which nothing can be added.
        """
        new = dict(changes.add_items)
        splices = self._remove(changes)
        for name, text in changes.append.items():
            splices.append(self._append(name, text))
        for name, items in changes.add_items.items():
            removed = {qualified(name): set(changes.remove_items.get(name, ()))}
            nodes = [node for node in self._properties(name) if not _has_only(node, removed)]
            if nodes or self._with_attribute(name):
                splices.append(self._add_items(nodes, items))
                del new[name]
        block = _block(
            _about(self._subjects[0]) if self._subjects else "",
            changes.texts, {**new, **changes.lists}, changes.values, self._prefixes,
        )  # fmt: skip
        if block:
            at = len(self.packet[: self._rdf.close].rstrip(b" \t\r\n"))
            splices.append(Splice(at, at, block))
        return splices + self._pad(sum(splice.growth for splice in splices))

    def _properties(self, name: str) -> list[Node]:
        wanted = qualified(name)
        return [n for subject in self._subjects for n in subject.children if n.name == wanted]

    def _with_attribute(self, name: str) -> list[Node]:
        return [subject for subject in self._subjects if qualified(name) in subject.attributes]

    def _remove(self, changes: PacketChanges) -> list[Splice]:
        replaced = (*changes.remove, *changes.texts, *changes.values, *changes.lists)
        names = {qualified(name) for name in replaced}
        items = {qualified(name): set(words) for name, words in changes.remove_items.items()}
        splices = []
        for subject in self._subjects:
            removed = [n for n in subject.children if n.name in names or _has_only(n, items)]
            attributes = [name for name in subject.attributes if name in names]
            remaining = [n for n in subject.children if n not in removed]
            if (
                (removed or attributes)
                and not remaining
                and subject.attributes.keys() <= names | _ABOUT
            ):
                splices.append(self._without(subject))
                continue
            splices += [self._without(node) for node in removed]
            splices += [self._without_attribute(subject, name) for name in attributes]
            for node in remaining:
                words = items.get(node.name, set())
                entries = [e for e in _entries(node) if e.all_text().strip() in words]
                splices += [self._without(entry) for entry in entries]
        return splices

    def _without(self, node: Node) -> Splice:
        """Remove an element and the space before it."""
        at = len(self.packet[: node.start].rstrip(b" \t\r\n"))
        return Splice(at, node.end, b"")

    def _without_attribute(self, node: Node, name: str) -> Splice:
        prefix = node.attributes[name][1]
        local = name.rpartition(" ")[2]
        written = f"{prefix}:{local}" if prefix else local
        for found in _ATTRIBUTES.finditer(self.packet, node.start, node.inner):
            if found.group(1) == written.encode():
                return Splice(found.start(), found.end(), b"")
        raise RefusedError(RefusalReason.XMP_FORM)

    def _append(self, name: str, text: str) -> Splice:
        nodes = [e for n in self._properties(name) for e in (list(_entries(n)) or [n])]
        nodes = [node for node in nodes if _language(node) == DEFAULT_LANGUAGE]
        if len(nodes) != 1 or nodes[0].children or nodes[0].is_empty_tag:
            raise RefusedError(RefusalReason.NO_APPEND)
        return Splice(nodes[0].close, nodes[0].close, escape(text).encode())

    def _add_items(self, nodes: list[Node], items: Iterable[str]) -> Splice:
        """Add items to an existing list."""
        containers = [child for node in nodes for child in node.children]
        lists = {qualified("rdf:Bag"), qualified("rdf:Seq"), qualified("rdf:Alt")}
        if len(nodes) != 1 or len(containers) != 1 or containers[0].name not in lists:
            raise RefusedError(RefusalReason.XMP_FORM, "its keywords are not in a list")
        container = containers[0]
        entry = container.tag("li")
        new = "".join(f"<{entry}>{escape(item)}</{entry}>" for item in items)
        if container.is_empty_tag:
            opened = f">{new}</{container.tag(container.name.rpartition(' ')[2])}>"
            at = self.packet.rindex(b"/", container.start, container.end)
            return Splice(at, container.end, opened.encode())
        at = container.children[-1].end if container.children else container.inner
        return Splice(at, at, new.encode())

    def _pad(self, growth: int) -> list[Splice]:
        """Shorten the padding by the growth, all but its last byte."""
        end = self.packet.rfind(b"<?xpacket end")
        if end < self._rdf.end or growth <= 0:
            return []
        padding = end - len(self.packet[:end].rstrip(b" \t\r\n"))
        less = min(growth, max(0, padding - 1))
        return [Splice(end - less, end, b"")] if less else []


@lru_cache(maxsize=4)
def parse_packet(packet: bytes) -> XmpPacket:
    """Parse a packet, cached since one photo needs it several times.

    Raises
    ------
    RefusedError
        If it is anything but one plain RDF document.
    """
    return XmpPacket(packet)


_ABOUT = {qualified("rdf:about"), "about"}


def edit_packet(
    packet: bytes | None, changes: PacketChanges, *, embedded: bool = True
) -> list[Splice]:
    """The splices that change a packet; if there is none, the splice that creates it.

    Parameters
    ----------
    embedded
        Whether a new packet is for a photo, with a wrapper by which scanners find it and padding
        for later writers; otherwise it is for a sidecar.
    """
    if packet:
        return parse_packet(packet).edit(changes)
    parts = [
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        if embedded
        else b'<?xml version="1.0" encoding="UTF-8"?>\n',
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n',
        f' <rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">'.encode(),
        _block("", changes.texts, {**changes.add_items, **changes.lists}, changes.values, {}),
        b"\n </rdf:RDF>\n</x:xmpmeta>\n",
        _PADDING + b'<?xpacket end="w"?>' if embedded else b"",
    ]
    return [Splice(0, 0, b"".join(parts))]


def _block(
    about: str,
    texts: Mapping[str, str],
    lists: Mapping[str, Sequence[str]],
    values: Mapping[str, str],
    prefixes: Mapping[str, str],
) -> bytes:
    """An rdf:Description with properties, which declares its namespaces; empty for none.

    Parameters
    ----------
    prefixes
        By namespace, those that the packet declares already: Adobe's toolkit, which Lightroom and
        exiv2 use, rejects packets with two prefixes for one namespace.
    """
    lists = {name: items for name, items in lists.items() if items}
    if not (texts or lists or values):
        return b""
    used = dict.fromkeys(name.partition(":")[0] for name in ("rdf:", *texts, *lists, *values))
    own_prefixes = {prefix: prefixes.get(NAMESPACES[prefix], prefix) for prefix in used}
    rdf = own_prefixes["rdf"]
    declared = "\n    ".join(f"xmlns:{own_prefixes[p]}={quoteattr(NAMESPACES[p])}" for p in used)
    lines = [f"\n  <{rdf}:Description {rdf}:about={quoteattr(about)} {declared}>"]

    def add(name: str, content: str) -> None:
        prefix, _, local = name.partition(":")
        tag = f"{own_prefixes[prefix]}:{local}"
        lines.append(f"   <{tag}>{content}</{tag}>")

    for name, text in texts.items():
        entry = f'<{rdf}:li xml:lang="{DEFAULT_LANGUAGE}">{escape(text)}</{rdf}:li>'
        add(name, f"<{rdf}:Alt>{entry}</{rdf}:Alt>")
    for name, items in lists.items():
        entries = "".join(f"<{rdf}:li>{escape(item)}</{rdf}:li>" for item in items)
        add(name, f"<{rdf}:Bag>{entries}</{rdf}:Bag>")
    for name, value in values.items():
        add(name, escape(value))
    return "\n".join([*lines, f"  </{rdf}:Description>"]).encode()


def _is_of_other_namespace(expat_name: str, name: str, local: str) -> bool:
    return expat_name != qualified(name) and expat_name.rpartition(" ")[2] == local


def _entries(node: Node) -> Iterator[Node]:
    """The rdf:li elements of a property that is a list."""
    for container in node.children:
        yield from (child for child in container.children if child.name == qualified("rdf:li"))


def _has_only(node: Node, items: Mapping[str, set[str]]) -> bool:
    """Whether a list holds only items that are to be removed."""
    entries = [entry.all_text().strip() for entry in _entries(node)]
    return bool(entries) and set(entries) <= items.get(node.name, set())


def _language(node: Node) -> str:
    return node.attributes.get(_XML_LANG, (DEFAULT_LANGUAGE, ""))[0].lower()


def _about(node: Node) -> str:
    for name in _ABOUT:
        if name in node.attributes:
            return node.attributes[name][0]
    return ""


def _shape(node: Node) -> tuple[object, ...]:
    attributes = sorted((name, value) for name, (value, _) in node.attributes.items())
    text = "".join(node.pieces)
    return node.name, attributes, text.strip(), [_shape(child) for child in node.children]


def _find_rdf(root: Node) -> Node:
    wanted = qualified("rdf:RDF")
    found = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.name == wanted:
            found.append(node)
        waiting += node.children
    if len(found) != 1:
        raise RefusedError(RefusalReason.XMP_FORM)
    return found[0]
