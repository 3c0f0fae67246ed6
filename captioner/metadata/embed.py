"""Words into the bytes of a photo: taken apart, changed, and checked before anybody sees them."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from captioner import wording
from captioner.metadata import exif, iptc, provenance, splice, xmp
from captioner.metadata.container import Container, Edits
from captioner.metadata.jpeg import Jpeg
from captioner.metadata.png import Png
from captioner.metadata.provenance import Content, Text, Words
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice
from captioner.metadata.tiff import TiffFile
from captioner.metadata.webp import WebP

LARGEST = 2**30
"""Bytes of a file that is written in place; it is held in memory twice."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Embedded:
    """How words go into a photo."""

    splices: list[Splice]
    left: tuple[str, ...]
    """Which of EXIF and IPTC keep what they say, though the words belong there too: they have no
    room for them, or are in another encoding."""


_KINDS: tuple[tuple[bytes, Callable[[bytes], Container]], ...] = (
    (b"\xff\xd8", Jpeg),
    (b"\x89PNG", Png),
    (b"RIFF", WebP),
    (b"II", TiffFile),
    (b"MM", TiffFile),
)
_TIFF_SUFFIXES = (".tif", ".tiff")
_PACKET = re.compile(rb"<x:xmpmeta[\s>].*?</x:xmpmeta\s*>", re.DOTALL)
_EXIF_BLOCK = re.compile(rb"Exif\0\0(?:II\*\0|MM\0\*)")


def read(data: bytes) -> Content:
    """All that a photo says, whatever its format; what cannot be understood is left out."""
    try:
        return _content(take_apart(data))
    except Refused:
        return _found(data)


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
            return _unbroken(partial(kind, data))
    raise Refused(Reason.FORMAT)


def write(data: bytes, words: Words, *, below: str | None = None, suffix: str = ".tif") -> Embedded:
    """How to put words into a photo, carried out and checked before it is returned.

    What captioner wrote before gives way to them.

    Parameters
    ----------
    below
        A person's text, to which the description is added; None where there is none.
    suffix
        As of `take_apart`.

    Raises
    ------
    Refused
        Where the file cannot be written without a doubt.
    """
    before = take_apart(data, suffix)
    content = _content(before)
    embedded = _unbroken(lambda: _embed(before, content, words, below))
    _check(before, content, splice.apply(data, embedded.splices), words, below)
    return embedded


def _unbroken(act: Callable[[], _Result]) -> _Result:
    """What `act` returns; whatever it stumbles over is a refusal."""
    try:
        return act()
    except (ValueError, IndexError, KeyError, StopIteration, struct.error) as error:
        raise Refused(Reason.MALFORMED, f"{type(error).__name__}: {error}") from error
    except RecursionError as error:
        raise Refused(Reason.XMP_DEEP) from error


def _content(container: Container) -> Content:
    packet = container.xmp
    content = provenance.read_xmp(packet) if packet and packet.strip(b"\0 \r\n\t") else Content()
    texts = list(content.texts)
    keywords = list(content.keywords)
    if isinstance(container, Jpeg) and container.more_xmp:
        more = _tolerant(container.more_xmp)
        texts += more.texts
    if container.exif:
        texts += [Text(field, text) for field, text in exif.texts(container.exif)]
    for block in _iptc_blocks(container):
        texts += [Text("IPTC caption", text) for text in iptc.texts(block, iptc.CAPTION)]
        keywords += [w for w in iptc.texts(block, iptc.KEYWORD) if w not in keywords]
    texts += [Text(field, text) for field, text in container.comments]
    return Content(tuple(texts), content.alts, tuple(keywords), content.mark)


def _iptc_blocks(container: Container) -> Iterator[bytes]:
    """The IPTC of a file, as far as it can be read."""
    found = [container.iptc] if isinstance(container, TiffFile) else []
    if container.photoshop:
        with suppress(Refused):
            found.append(iptc.iptc_of(container.photoshop))
    for block in found:
        try:
            if block and iptc.datasets(block):
                yield block
        except Refused:
            continue


def _tolerant(packet: bytes) -> Content:
    try:
        return provenance.read_xmp(packet)
    except (Refused, ValueError, RecursionError):
        return Content()


def _found(data: bytes) -> Content:
    """What stands in a file of another format, such as HEIC, or in one that does not add up."""
    info = _information(data)
    content = Content()
    if wrapped := _PACKET.search(data):
        content = _tolerant(wrapped.group())
    elif isinstance(packet := info.get("xmp"), bytes):
        content = _tolerant(packet)
    texts = list(content.texts)
    if found := _EXIF_BLOCK.search(data):
        texts += [Text(*said) for said in exif.texts(data[found.end() - 4 :][: 2**16])]
    elif isinstance(block := info.get("exif"), bytes):
        texts += [Text(*said) for said in exif.texts(block.removeprefix(b"Exif\0\0"))]
    elif data.startswith((b"II", b"MM")):
        texts += [Text(*said) for said in exif.texts(data)]
    if isinstance(comment := info.get("comment"), bytes):
        texts.append(Text("comment", comment.decode("utf-8", "replace")))
    return replace(content, texts=tuple(texts))


def _information(data: bytes) -> dict[Any, Any]:
    """What Pillow finds in a file beside the picture."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            return dict(image.info)
    except Exception:  # Pillow raises anything over what it cannot read.
        return {}


def _embed(before: Container, content: Content, words: Words, below: str | None) -> Embedded:
    """The words into XMP, and into EXIF and IPTC where they belong and can be put there."""
    # What captioner wrote there must not stay: without its mark it would count as a person's.
    stale = {text.field.partition(" ")[0] for text in content.texts if content.own(text)}
    left = []
    photoshop = None
    try:
        photoshop = _photoshop_edit(before, content, words, below)
    except Refused:
        if "IPTC" in stale:
            raise
        left.append("IPTC")
    description = words.description if below is None and _gives_way(content) else None
    if description is not None and before.exif:
        try:
            exif.Tiff(before.exif).check_all()
        except Refused:
            if "EXIF" in stale:
                raise
            left.append("EXIF")
            description = None
    edits = Edits(_xmp_edits(before, content, words, below), description, photoshop)
    while True:
        try:
            return Embedded(before.put(edits), tuple(left))
        except Refused as error:
            if error.reason is not Reason.NO_ROOM or error.detail in {"XMP", *stale}:
                raise
            left.append(error.detail)
            if error.detail == "EXIF":
                edits = replace(edits, description=None)
            else:
                edits = replace(edits, photoshop=None)


def _xmp_edits(
    before: Container, content: Content, words: Words, below: str | None
) -> tuple[Splice, ...]:
    changes = provenance.changes(content, words, below, everywhere=False)
    if before.xmp and not before.xmp.strip(b"\0 \r\n\t"):
        return (Splice(0, len(before.xmp), xmp.edit(None, changes)[0].new),)
    return tuple(xmp.edit(before.xmp, changes))


def _photoshop_edit(
    before: Container, content: Content, words: Words, below: str | None
) -> bytes | None:
    """The image resources with IPTC that says the words; None where there is no IPTC.

    Raises
    ------
    Refused
        Where it is in another encoding, or cannot be understood.
    """
    if not before.photoshop or iptc.iptc_of(before.photoshop) is None:
        return None
    caption = words.description if below is None and _iptc_gives_way(content) else None
    return iptc.edit(before.photoshop, caption, words.keywords)


def _gives_way(content: Content) -> bool:
    """Whether EXIF's ImageDescription holds a placeholder, or what captioner wrote."""
    found = [text for text in content.texts if text.field == "EXIF ImageDescription"]
    return len(found) == 1 and (content.own(found[0]) or wording.is_placeholder(found[0].text))


def _iptc_gives_way(content: Content) -> bool:
    """Whether IPTC has no caption that is a person's."""
    found = [text for text in content.texts if text.field == "IPTC caption"]
    return all(content.own(text) or wording.is_placeholder(text.text) for text in found)


def _check(before: Container, old: Content, data: bytes, words: Words, below: str | None) -> None:
    """Read what would be written, and compare it with what was and with what was to be.

    Raises
    ------
    Refused
        Where anything but the words differs from before, or the words are not there.
    """
    try:
        after = take_apart(data)
        new = _content(after)
    except Refused as error:
        raise Refused(Reason.UNVERIFIED, str(error)) from error
    _demand(after.carries(before), "other parts")
    if not isinstance(after, TiffFile):
        _demand((after.exif is None) == (before.exif is None), "EXIF")
        if before.exif and after.exif:
            _demand(exif.same_but_description(before.exif, after.exif), "EXIF")
    if before.photoshop != after.photoshop:
        _demand(_same_resources(before.photoshop or b"", after.photoshop or b""), "resources")
    _demand(_same_xmp(before.xmp, after.xmp or b""), "XMP")
    said = [text.text for text in new.texts if text.field == f"XMP {provenance.DESCRIPTION}"]
    if words.description is not None:
        wanted = words.description if below is None else f"{below}\n{words.description}"
        _demand(wanted in said, "the caption")
    if words.alt is not None:
        _demand([text.text for text in new.alts] == [words.alt], "the alternative text")
    _demand(
        {word.lower() for word in words.keywords} <= {word.lower() for word in new.keywords},
        "the keywords",
    )
    if below is None:
        persons = [(t.field, t.text) for t in old.persons(old.texts)]
        kept = {(t.field, t.text) for t in new.texts}
        _demand(all(person in kept for person in persons), "a person's words")
    _demand(_picture(before.data) == _picture(data), "the picture")


def _same_xmp(before: bytes | None, after: bytes) -> bool:
    ours = (provenance.DESCRIPTION, provenance.ALT, provenance.KEYWORDS, *provenance.MARKS)
    others = xmp.Xmp(after).others(*ours) if after else []
    if not before or not before.strip(b"\0 \r\n\t"):
        return not others
    return xmp.Xmp(before).others(*ours) == others


def _same_resources(before: bytes, after: bytes) -> bool:
    def others(block: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        found, rest = iptc.resources(block)
        kept = [(r.head, r.data) for r in found if r.number not in iptc.WRITTEN]
        return kept, rest

    def datasets(block: bytes) -> list[iptc.Dataset]:
        ours = (iptc.CAPTION, iptc.KEYWORD, iptc.CHARSET)
        return [d for d in iptc.datasets(iptc.iptc_of(block) or b"") if d.kind not in ours]

    return others(before) == others(after) and datasets(before) == datasets(after)


def _picture(data: bytes) -> tuple[object, ...] | None:
    """What Pillow makes of the picture; None where it makes nothing of it.

    In JPEG, PNG and TIFF every byte of the picture has been compared, and they stand where they
    stood to the rest. WebP may have got another header, and is decoded.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            seen = (image.format, image.size, image.mode, image.info.get("icc_profile"))
            if image.format == "WEBP":
                return (*seen, image.tobytes())
            return seen
    except Exception:  # Pillow raises anything over what it cannot read.
        return None


def _demand(fulfilled: bool, what: str) -> None:
    if not fulfilled:
        raise Refused(Reason.UNVERIFIED, f"{what} would not be as they should")
