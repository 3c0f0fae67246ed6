"""What sidecar files say about a photo, and how that goes together with what its own file says."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from captioner.photos import takeout, xmp
from captioner.photos.facts import distinct, packet_facts, united
from captioner.photos.path_errors import explain
from captioner.photos.sidecars import XMP
from captioner.regular_files import open_regular
from captioner.types import Facts, Photo, Sidecar

_GROUPS = (
    ("taken_at", "taken_offset"), ("latitude", "longitude"), ("camera",), ("lens",), ("caption",),
    ("title",),
)  # fmt: skip
"""What is taken together, and is lacking where the first is."""
_MIDNIGHT = "T00:00:00"
_LARGEST = xmp.LARGEST
"""Bytes of a sidecar that are read."""
_RDF = re.compile(rb"R\0{0,3}D\0{0,3}F")
"""What there is in every packet, in UTF-16 and UTF-32, too."""

Warn = Callable[[Path, str], None]
"""Told of a sidecar that cannot be read, and why."""


def read(photo: Photo, own: Facts, warn: Warn) -> tuple[Facts, tuple[Sidecar, ...]]:
    """What a photo's own file and its sidecars say together, and which sidecars that are.

    What XMP says takes the place of what the photo says, as the later edit; Takeout fills what is
    lacking. The keywords are those of all.

    Parameters
    ----------
    own
        What the photo's own file says.

    Returns
    -------
    Without the sidecars that cannot be opened, so that another run tries them again.
    """
    later, also = [], []
    opened = []
    for sidecar in photo.sidecars:
        path = photo.path.with_name(sidecar.name)
        try:
            content = _content(path)
        except (OSError, ValueError) as error:
            warn(path, explain(error))
            if isinstance(error, OSError) and error.errno == errno.EINVAL:  # a pipe stays one
                opened.append(sidecar)
            continue
        opened.append(sidecar)
        if sidecar.name.lower().endswith(XMP):
            later.append(packet_facts(content, original_date=True))
            also.append(packet_facts(content))
            if content.strip() and not _RDF.search(content):
                warn(path, "it is not XMP.")
        else:
            try:
                said = takeout.read(content, photo.path.name)
            except ValueError:
                large = len(content) == _LARGEST
                warn(path, "it is larger than 1 MB." if large else "it is not JSON.")
            else:
                also += [said] if said else []
    return _filled(_laid_over(own, _filled(Facts(), later)), also), tuple(opened)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(_LARGEST)


def _filled(facts: Facts, further: Iterable[Facts]) -> Facts:
    """Facts, with what they lack taken from further ones, and the words of all."""
    texts = list(facts.others)
    for other in further:
        texts += filter(None, (other.caption, other.title, *other.others))
        for group in _GROUPS:
            if getattr(facts, group[0]) is None:
                facts = replace(facts, **{name: getattr(other, name) for name in group})
        facts = replace(facts, keywords=united((*facts.keywords, *other.keywords)))
    return replace(facts, others=distinct(texts, facts.caption, facts.title))


def _laid_over(own: Facts, later: Facts) -> Facts:
    """Facts, with what later ones say in their place, but for the camera, which nobody edits."""
    if later.taken_at and own.taken_at:
        day = later.taken_at.removesuffix(_MIDNIGHT)
        same = later.taken_at == own.taken_at and later.taken_offset is None
        if same or own.taken_at.startswith(f"{day}T"):  # the photo's own says more
            later = replace(later, taken_at=None, taken_offset=None)
    return _filled(
        replace(later, camera=own.camera or later.camera, lens=own.lens or later.lens), [own]
    )
