"""XMP packets, read tolerantly and changed by position: what is not ours keeps every byte.

A packet is parsed only to learn where its elements stand; it is never written anew from what was
parsed. Anything unusual is refused rather than guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice
from captioner.metadata.tree import Node, Tree

NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    # Ours. An identifier, not an address to visit. It is permanent: photos that carry it are out
    # in the world, and what they say must be understood by every later captioner.
    "captioner": "https://captioner.dev/ns/1.0/",
}
DEFAULT = "x-default"
"""The language that readers show where they have no choice."""

_XML_LANG = "http://www.w3.org/XML/1998/namespace lang"
_PADDING = (b" " * 99 + b"\n") * 20
_ATTRIBUTES = re.compile(rb"\s+([^\s=]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.DOTALL)


def full(name: str) -> str:
    """`dc:description` as the parser spells it: namespace, space, local name."""
    prefix, _, local = name.partition(":")
    return f"{NAMESPACES[prefix]} {local}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of a property."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What to put into a packet; names as `dc:description`."""

    cut: tuple[str, ...] = ()
    """Properties to take out, whatever they hold."""
    cut_items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Entries to take out of lists."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Properties to write, each in the place of whatever it held."""
    tails: Mapping[str, str] = field(default_factory=dict)
    """Text to add to the end of what a property says in the default language."""
    items: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Entries to add to lists, those that stand in them left alone."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Plain values to write, each in the place of the one there was."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists to write, each in the place of the one there was."""

    @property
    def adds(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.texts or self.tails or self.items or self.values or self.lists)


class Xmp:
    """A packet that was understood.

    Parameters
    ----------
    packet
        UTF-8.

    Raises
    ------
    Refused
        Where it is anything but one plain RDF document.
    """

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        tree = Tree(packet)
        self._prefixes = tree.prefixes
        self._rdf = _find_rdf(tree.root)
        described = full("rdf:Description")
        if any(node.name != described for node in self._rdf.children) or self._rdf.is_empty_tag:
            raise Refused(Reason.XMP_FORM)
        self._subjects = self._rdf.children

    def texts(self, name: str) -> list[Entry]:
        """All that a property says, in whichever of the forms that programs write."""
        found = [
            Entry(DEFAULT, node.attributes[full(name)][0]) for node in self._with_attribute(name)
        ]
        for node in self._properties(name):
            entries = list(_entries(node))
            found += [Entry(_language(entry), entry.all_text().strip()) for entry in entries]
            if not entries:
                resource = node.attributes.get(full("rdf:resource"), ("", ""))[0]
                found.append(Entry(_language(node), node.all_text().strip() or resource))
        return found

    def namesakes(self, name: str) -> list[Entry]:
        """What properties say that are spelled like it, and belong to another namespace.

        Programs such as exiftool go by the prefix, and show them.
        """
        prefix, _, local = name.partition(":")
        found = []
        for subject in self._subjects:
            for spelled, (value, used) in subject.attributes.items():
                if used == prefix and _is_namesake(spelled, name, local):
                    found.append(Entry(DEFAULT, value))
            found += [
                Entry(_language(node), node.all_text().strip())
                for node in subject.children
                if node.prefix == prefix and _is_namesake(node.name, name, local)
            ]
        return found

    def items(self, name: str) -> list[str]:
        """The entries of a list."""
        return [entry.text for entry in self.texts(name) if entry.text]

    def value(self, name: str) -> str | None:
        """What a plain property says; None where there is none, or several."""
        found = self.texts(name)
        return found[0].text if len(found) == 1 else None

    def others(self, *names: str) -> list[object]:
        """All properties but these, for a comparison of before and after."""
        left_out = {full(name) for name in names}
        found: list[object] = []
        for subject in self._subjects:
            about = _about(subject)
            for name, (value, _) in subject.attributes.items():
                if name not in left_out and name not in _ABOUT:
                    found.append((about, name, value))
            found += [(about, *_shape(n)) for n in subject.children if n.name not in left_out]
        return sorted(found, key=repr)

    def edit(self, changes: Changes) -> list[Splice]:
        """The splices that make the changes, its padding given for the growth where it can be.

        Raises
        ------
        Refused
            Where a list or text stands in a form to which nothing can be added.
        """
        new = dict(changes.items)
        splices = self._cut(changes)
        for name, tail in changes.tails.items():
            splices.append(self._tail(name, tail))
        for name, items in changes.items.items():
            leaving = {full(name): set(changes.cut_items.get(name, ()))}
            nodes = [node for node in self._properties(name) if not _all_in(node, leaving)]
            if nodes or self._with_attribute(name):
                splices.append(self._more_items(nodes, items))
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
        wanted = full(name)
        return [n for subject in self._subjects for n in subject.children if n.name == wanted]

    def _with_attribute(self, name: str) -> list[Node]:
        return [subject for subject in self._subjects if full(name) in subject.attributes]

    def _cut(self, changes: Changes) -> list[Splice]:
        replaced = (*changes.cut, *changes.texts, *changes.values, *changes.lists)
        names = {full(name) for name in replaced}
        items = {full(name): set(words) for name, words in changes.cut_items.items()}
        splices = []
        for subject in self._subjects:
            gone = [n for n in subject.children if n.name in names or _all_in(n, items)]
            attributes = [name for name in subject.attributes if name in names]
            left = [n for n in subject.children if n not in gone]
            if (gone or attributes) and not left and subject.attributes.keys() <= names | _ABOUT:
                splices.append(self._without(subject))
                continue
            splices += [self._without(node) for node in gone]
            splices += [self._without_attribute(subject, name) for name in attributes]
            for node in left:
                words = items.get(node.name, set())
                entries = [e for e in _entries(node) if e.all_text().strip() in words]
                splices += [self._without(entry) for entry in entries]
        return splices

    def _without(self, node: Node) -> Splice:
        """Cut a node together with the space before it."""
        at = len(self.packet[: node.start].rstrip(b" \t\r\n"))
        return Splice(at, node.end, b"")

    def _without_attribute(self, node: Node, name: str) -> Splice:
        prefix = node.attributes[name][1]
        local = name.rpartition(" ")[2]
        written = f"{prefix}:{local}" if prefix else local
        for found in _ATTRIBUTES.finditer(self.packet, node.start, node.inner):
            if found.group(1) == written.encode():
                return Splice(found.start(), found.end(), b"")
        raise Refused(Reason.XMP_FORM)

    def _tail(self, name: str, tail: str) -> Splice:
        nodes = [e for n in self._properties(name) for e in (list(_entries(n)) or [n])]
        nodes = [node for node in nodes if _language(node) == DEFAULT]
        if len(nodes) != 1 or nodes[0].children or nodes[0].is_empty_tag:
            raise Refused(Reason.NO_APPEND)
        return Splice(nodes[0].close, nodes[0].close, escape(tail).encode())

    def _more_items(self, nodes: list[Node], items: Iterable[str]) -> Splice:
        """Add entries to a list that is there."""
        containers = [child for node in nodes for child in node.children]
        lists = {full("rdf:Bag"), full("rdf:Seq"), full("rdf:Alt")}
        if len(nodes) != 1 or len(containers) != 1 or containers[0].name not in lists:
            raise Refused(Reason.XMP_FORM, "its keywords are not in a list")
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
        """Give up padding for growth, all but its last byte."""
        end = self.packet.rfind(b"<?xpacket end")
        if end < self._rdf.end or growth <= 0:
            return []
        padding = end - len(self.packet[:end].rstrip(b" \t\r\n"))
        less = min(growth, max(0, padding - 1))
        return [Splice(end - less, end, b"")] if less else []


@lru_cache(maxsize=4)
def understood(packet: bytes) -> Xmp:
    """`Xmp(packet)`, once for the several looks that one photo takes at it."""
    return Xmp(packet)


_ABOUT = {full("rdf:about"), "about"}


def edit(packet: bytes | None, changes: Changes, *, embedded: bool = True) -> list[Splice]:
    """The splices that change a packet; where there is none, the one that makes it.

    Parameters
    ----------
    embedded
        A packet that is made is for the inside of a photo, marked so that it is found there and
        with room for later writers; else it is a file of its own.
    """
    if packet:
        return understood(packet).edit(changes)
    parts = [
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        if embedded
        else b'<?xml version="1.0" encoding="UTF-8"?>\n',
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n',
        f' <rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">'.encode(),
        _block("", changes.texts, {**changes.items, **changes.lists}, changes.values, {}),
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
    """One rdf:Description with properties, its namespaces declared in it; empty for none.

    Parameters
    ----------
    prefixes
        Of namespaces that the packet has declared already: Adobe's toolkit, on which Lightroom and
        exiv2 rest, gives up a packet that calls one namespace by two names.
    """
    lists = {name: items for name, items in lists.items() if items}
    if not (texts or lists or values):
        return b""
    used = dict.fromkeys(name.partition(":")[0] for name in ("rdf:", *texts, *lists, *values))
    called = {prefix: prefixes.get(NAMESPACES[prefix], prefix) for prefix in used}
    rdf = called["rdf"]
    declared = "\n    ".join(f"xmlns:{called[p]}={quoteattr(NAMESPACES[p])}" for p in used)
    lines = [f"\n  <{rdf}:Description {rdf}:about={quoteattr(about)} {declared}>"]

    def add(name: str, content: str) -> None:
        prefix, _, local = name.partition(":")
        tag = f"{called[prefix]}:{local}"
        lines.append(f"   <{tag}>{content}</{tag}>")

    for name, text in texts.items():
        entry = f'<{rdf}:li xml:lang="{DEFAULT}">{escape(text)}</{rdf}:li>'
        add(name, f"<{rdf}:Alt>{entry}</{rdf}:Alt>")
    for name, items in lists.items():
        entries = "".join(f"<{rdf}:li>{escape(item)}</{rdf}:li>" for item in items)
        add(name, f"<{rdf}:Bag>{entries}</{rdf}:Bag>")
    for name, value in values.items():
        add(name, escape(value))
    return "\n".join([*lines, f"  </{rdf}:Description>"]).encode()


def _is_namesake(spelled: str, name: str, local: str) -> bool:
    return spelled != full(name) and spelled.rpartition(" ")[2] == local


def _entries(node: Node) -> Iterator[Node]:
    """The rdf:li of a property that is a list."""
    for container in node.children:
        yield from (child for child in container.children if child.name == full("rdf:li"))


def _all_in(node: Node, items: Mapping[str, set[str]]) -> bool:
    """Whether a list holds nothing but entries that are to go."""
    entries = [entry.all_text().strip() for entry in _entries(node)]
    return bool(entries) and set(entries) <= items.get(node.name, set())


def _language(node: Node) -> str:
    return node.attributes.get(_XML_LANG, (DEFAULT, ""))[0].lower()


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
    wanted = full("rdf:RDF")
    found = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.name == wanted:
            found.append(node)
        waiting += node.children
    if len(found) != 1:
        raise Refused(Reason.XMP_FORM)
    return found[0]
