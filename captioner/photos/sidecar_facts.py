"""Facts from the sidecars of a photo, merged with those from its own file."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from captioner.photos import takeout
from captioner.photos.facts import unique_keywords, unique_texts, xmp_facts
from captioner.photos.path_errors import explain
from captioner.photos.sidecars import XMP
from captioner.photos.xmp import MAX_PACKET_BYTES
from captioner.regular_files import open_regular
from captioner.types import Facts, Photo, Sidecar

_GROUPS = (
    ("taken_at", "taken_offset"), ("latitude", "longitude"), ("camera",), ("lens",), ("caption",),
    ("title",),
)  # fmt: skip
"""Fields that are taken over together, if the first is missing."""
_MIDNIGHT = "T00:00:00"
_RDF = re.compile(rb"R\0{0,3}D\0{0,3}F")
"""Occurs in every packet, also in UTF-16 and UTF-32."""

Warn = Callable[[Path, str], None]
"""Called with a sidecar that cannot be read, and why."""


def read(photo: Photo, own: Facts, warn: Warn) -> tuple[Facts, tuple[Sidecar, ...]]:
    """The facts of a photo's own file and its sidecars together, and the sidecars that were read.

    XMP takes precedence over the photo, as the later edit; Takeout only fills in what is missing.
    Keywords are merged.

    Parameters
    ----------
    own
        The facts of the photo's own file.

    Returns
    -------
    The sidecars without those that could not be opened, so that another run tries these again.
    """
    overriding, filling = [], []
    opened = []
    for sidecar in photo.sidecars:
        path = photo.path.with_name(sidecar.name)
        try:
            content = _content(path)
        except (OSError, ValueError) as error:
            warn(path, explain(error))
            # A named pipe is none that another run could read.
            if isinstance(error, OSError) and error.errno == errno.EINVAL:
                opened.append(sidecar)
            continue
        opened.append(sidecar)
        if sidecar.name.lower().endswith(XMP):
            overriding.append(xmp_facts(content, original_date=True))
            filling.append(xmp_facts(content))
            if content.strip() and not _RDF.search(content):
                warn(path, "it is not XMP.")
        else:
            try:
                found = takeout.read(content, photo.path.name)
            except ValueError:
                is_large = len(content) == MAX_PACKET_BYTES
                warn(path, "it is larger than 1 MB." if is_large else "it is not JSON.")
            else:
                filling += [found] if found else []
    merged = _override(own, _fill(Facts(), overriding))
    return _fill(merged, filling), tuple(opened)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(MAX_PACKET_BYTES)


def _fill(facts: Facts, others: Iterable[Facts]) -> Facts:
    """Facts with what is missing taken from others, and the texts and keywords of all."""
    texts = list(facts.others)
    for other in others:
        texts += filter(None, (other.caption, other.title, *other.others))
        for group in _GROUPS:
            if getattr(facts, group[0]) is None:
                facts = replace(facts, **{name: getattr(other, name) for name in group})
        facts = replace(facts, keywords=unique_keywords((*facts.keywords, *other.keywords)))
    return replace(facts, others=unique_texts(texts, facts.caption, facts.title))


def _override(own: Facts, later: Facts) -> Facts:
    """Facts replaced by later ones, except camera and lens, which nobody edits."""
    if later.taken_at and own.taken_at:
        day = later.taken_at.removesuffix(_MIDNIGHT)
        is_same = later.taken_at == own.taken_at and later.taken_offset is None
        if is_same or own.taken_at.startswith(f"{day}T"):  # the photo's own is more precise
            later = replace(later, taken_at=None, taken_offset=None)
    return _fill(
        replace(later, camera=own.camera or later.camera, lens=own.lens or later.lens), [own]
    )
