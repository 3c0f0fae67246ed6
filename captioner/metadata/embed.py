"""Words into the bytes of a photo: put in, and checked before anybody sees them."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace

from PIL import Image

from captioner import authorship
from captioner.metadata import exif, iptc, provenance, recovery, splice, xmp
from captioner.metadata.container import Container, Edits
from captioner.metadata.provenance import Content, Words
from captioner.metadata.reading import read_photo, take_apart, unbroken
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice
from captioner.metadata.tiff import TiffFile


@dataclass(frozen=True, slots=True)
class Embedded:
    """How words go into a photo."""

    splices: list[Splice]
    left: tuple[str, ...]
    """Which of EXIF and IPTC keep what they say, though the words belong there too: they have no
    room for them, or are in another encoding."""


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
    content = provenance.released(read_photo(data), words)
    embedded = unbroken(lambda: _embed(before, content, words, below))
    _check(before, content, splice.apply(data, embedded.splices), words, below)
    return embedded


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
    if before.xmp and recovery.is_blank(before.xmp):
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
    return len(found) == 1 and (content.own(found[0]) or authorship.is_placeholder(found[0].text))


def _iptc_gives_way(content: Content) -> bool:
    """Whether IPTC has no caption that is a person's."""
    found = [text for text in content.texts if text.field == "IPTC caption"]
    return all(content.own(text) or authorship.is_placeholder(text.text) for text in found)


def _check(before: Container, old: Content, data: bytes, words: Words, below: str | None) -> None:
    """Read what would be written, and compare it with what was and with what was to be.

    Raises
    ------
    Refused
        Where anything but the words differs from before, or the words are not there.
    """
    try:
        after = take_apart(data)
        new = read_photo(data)
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
    others = xmp.understood(after).others(*ours) if after else []
    if not before or recovery.is_blank(before):
        return not others
    return xmp.understood(before).others(*ours) == others


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
