"""Captions in files beside the photos: `photo.jpg.xmp`.

That is the name which immich, digiKam and darktable read first, and which no two photos share.
`photo.xmp` is only read: it may belong to the raw photo of the same name.
"""

from __future__ import annotations

from pathlib import Path

from captioner.metadata import provenance, splice, xmp
from captioner.metadata.provenance import Content, Words
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice

SUFFIX = ".xmp"


def beside(photo: Path) -> Path:
    """The sidecar of a photo, whether it is there or not."""
    return photo.with_name(photo.name + SUFFIX)


def others(photo: Path) -> list[Path]:
    """Further files that other programs may have made for the photo, and that are there."""
    path = photo.with_suffix(SUFFIX)
    return [path] if path != beside(photo) and path.is_file() else []


def write(packet: bytes | None, words: Words, *, below: str | None = None) -> list[Splice]:
    """The splices that put words into a sidecar, or make one, checked as those of photos are.

    Raises
    ------
    Refused
        Where the sidecar cannot be written without a doubt.
    """
    try:
        return _write(packet, words, below)
    except (ValueError, IndexError, RecursionError) as error:
        raise Refused(Reason.MALFORMED, f"{type(error).__name__}: {error}") from error


def without_ours(packet: bytes) -> list[Splice]:
    """The splices that take out captioner's own words, whatever else was changed since.

    Raises
    ------
    Refused
        Where the sidecar cannot be understood, or nothing in it is captioner's.
    """
    content = provenance.read_xmp(packet)
    if any(content.own_tail(text) for text in content.texts):
        raise Refused(Reason.EDITED)
    splices = xmp.understood(packet).edit(provenance.removal(packet))
    if not splices:
        raise Refused(Reason.NO_RECORD)
    after = splice.apply(packet, splices)
    ours = (
        *(*provenance.MARKS, provenance.KEYWORDS, provenance.DESCRIPTION, provenance.ALT),
        provenance.TIFF_DESCRIPTION,
    )
    left = provenance.read_xmp(after)
    texts = (*content.texts, *content.alts)
    if xmp.understood(packet).others(*ours) != xmp.understood(after).others(*ours) or (
        [text for text in texts if not content.own(text)] != [*left.texts, *left.alts]
    ):
        raise Refused(Reason.UNVERIFIED)
    return splices


def _write(packet: bytes | None, words: Words, below: str | None) -> list[Splice]:
    content = provenance.read_xmp(packet) if packet else Content()
    changes = provenance.changes(content, words, below, everywhere=True)
    splices = xmp.edit(packet, changes, embedded=False)
    after = xmp.understood(splice.apply(packet or b"", splices))
    names = (*changes.texts, *changes.tails, *changes.items, *changes.cut)
    if after.others(*names) != (xmp.understood(packet).others(*names) if packet else []):
        raise Refused(Reason.UNVERIFIED)
    for name, text in changes.texts.items():
        if [entry.text for entry in after.texts(name)] != [text]:
            raise Refused(Reason.UNVERIFIED)
    return splices
