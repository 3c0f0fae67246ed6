"""Captions in XMP sidecars, `photo.jpg.xmp`, and finding the sidecars of a photo.

immich, digiKam and darktable read that name first, and no two photos share it. `photo.xmp` is only
read: it may belong to the raw photo of the same name.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from captioner.filenames import base_of_version, fold
from captioner.formats.xmp import TIFF_DESCRIPTION
from captioner.metadata import malformed, splice, xmp
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import CaptionData, FileMetadata
from captioner.metadata.packet import WRITTEN, caption_changes, read_packet, removal_changes
from captioner.metadata.splice import Splice

SUFFIX = ".xmp"
MAX_BYTES = 16 * 2**20
"""Of a sidecar that is read."""


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The sidecars of one photo."""

    main: Path
    """The one that belongs to this photo only, which may not exist."""
    others: tuple[Path, ...] = ()
    """Further existing files that programs may have made for the photo."""
    variants: tuple[Path, ...] = ()
    """Those of the others that belong to this photo only, too: `a.jpg.XMP` and `a.jpg.xmp`."""
    name_too_long: bool = False
    """Whether the name of the main one would be longer than the system allows."""


@dataclass(slots=True)
class _Names:
    """The names in a folder."""

    sidecars: dict[str, list[str]] = field(default_factory=dict)
    """The names of sidecars, by what comes before the suffix, folded."""
    versions: dict[str, list[str]] = field(default_factory=dict)
    """The names of sidecars of further versions, by the photo's name, folded."""
    photos: set[str] = field(default_factory=set)
    """The names of all other files, with and without their extension."""

    def add(self, name: str) -> None:
        """Add a name."""
        stem, dot, suffix = name.rpartition(".")
        if f"{dot}{suffix}".lower() != SUFFIX:
            self.photos.update((name, stem) if dot else (name,))
            return
        names = self.sidecars.setdefault(fold(stem), [])
        if name not in names:
            names.append(name)
        if photo := base_of_version(stem):
            self.versions.setdefault(fold(photo), []).append(name)

    def of_stem(self, stem: str) -> list[str]:
        """The sidecars of a photo with this name or stem, those in exactly this spelling first."""
        found = sorted(self.sidecars.get(fold(stem), []))
        exact = [name for name in found if name[: -len(SUFFIX)] == stem]
        rest = [name for name in found if name not in exact]
        return exact + [name for name in rest if name[: -len(SUFFIX)] not in self.photos]


class SidecarFinder:
    """Finds the sidecars of photos; lists each folder once, if its photos follow each other."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._names = _Names()

    def find(self, photo: Path) -> Sidecars:
        """The sidecars of a photo.

        Suffixes match in any case, names in any case if no other photo has that name: cameras and
        Windows write `IMG_1.JPG`, other programs `img_1.jpg.xmp`.

        Raises
        ------
        OSError
            If the folder cannot be listed.
        """
        if photo.parent != self._folder:
            try:
                self._names = _list_names(photo.parent)
                self._folder = photo.parent
            except PermissionError:  # Files in it may be opened by name nevertheless.
                self._names, self._folder = _probe_names(photo), None
        own = self._names.of_stem(photo.name)
        others = [name for name in self._names.of_stem(photo.stem) if name not in own]
        others += [
            name
            for name in self._names.versions.get(fold(photo.name), [])
            if name[: -len(SUFFIX)] not in self._names.photos
        ]
        exact = photo.name + SUFFIX
        main = exact if exact in own or not own else own[0]
        variants = [photo.with_name(name) for name in own if name != main]
        return Sidecars(
            photo.with_name(main),
            (*variants, *map(photo.with_name, others)),
            tuple(variants),
            name_too_long=not own and _is_name_too_long(photo.with_name(main)),
        )

    def add(self, path: Path) -> None:
        """Add a sidecar that was created since the folder was listed."""
        if path.parent == self._folder:
            self._names.add(path.name)


def plan_write(
    packet: bytes | None, caption: CaptionData, *, append_to: str | None = None
) -> list[Splice]:
    """The splices that write a caption into a sidecar, or create one; the result was verified.

    Parameters
    ----------
    append_to
        A human-authored text to which the caption is appended; None if there is none.

    Raises
    ------
    RefusedError
        If the sidecar cannot be written for certain.
    """
    try:
        return _plan_write(packet, caption, append_to)
    except (ValueError, IndexError, RecursionError) as error:
        detail = f"{type(error).__name__}: {error}"
        raise RefusedError(RefusalReason.MALFORMED, detail) from error


def plan_removal(packet: bytes) -> list[Splice]:
    """The splices that remove captioner's own texts, whatever else was changed since.

    Raises
    ------
    RefusedError
        If the sidecar cannot be parsed, or nothing in it is captioner's own.
    """
    before = read_packet(packet)
    if any(before.ends_with_own_line(text) for text in before.texts):
        raise RefusedError(RefusalReason.EDITED)
    parsed = xmp.parse_packet(packet)
    splices = parsed.edit(removal_changes(packet))
    if not splices:
        raise RefusedError(RefusalReason.NO_RECORD)
    new = splice.apply(packet, splices)
    after = read_packet(new)
    others = parsed.other_properties(*WRITTEN, TIFF_DESCRIPTION)
    expected = [t for t in (*before.texts, *before.alt_texts) if not before.is_own(t)]
    if (
        xmp.parse_packet(new).other_properties(*WRITTEN, TIFF_DESCRIPTION) != others
        or [*after.texts, *after.alt_texts] != expected
    ):
        raise RefusedError(RefusalReason.UNVERIFIED)
    return splices


def _list_names(folder: Path) -> _Names:
    found = _Names()
    for name in os.listdir(folder):  # noqa: PTH208 (Path objects of 100,000 files would be slow)
        found.add(name)
    return found


def _probe_names(photo: Path) -> _Names:
    """The names of usual sidecars that exist, for a folder that cannot be listed."""
    found = _Names()
    for stem in (photo.name, photo.stem):
        for suffix in (SUFFIX, SUFFIX.upper(), SUFFIX.title()):
            if os.path.lexists(photo.with_name(stem + suffix)):
                found.add(stem + suffix)
    return found


def _is_name_too_long(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _plan_write(packet: bytes | None, caption: CaptionData, append_to: str | None) -> list[Splice]:
    is_blank = not packet or malformed.is_blank(packet)
    metadata = FileMetadata() if is_blank else read_packet(packet or b"")
    changes = caption_changes(metadata.for_author_of(caption), caption, append_to, in_tiff=True)
    splices = xmp.edit_packet(None if is_blank else packet, changes, embedded=False)
    if is_blank:
        splices = [Splice(0, len(packet or b""), splices[0].new)]
    after = xmp.parse_packet(splice.apply(packet or b"", splices))
    changed = (*changes.texts, *changes.append, *changes.add_items, *changes.remove)
    others = [] if is_blank else xmp.parse_packet(packet or b"").other_properties(*changed)
    if after.other_properties(*changed) != others:
        raise RefusedError(RefusalReason.UNVERIFIED)
    for name, text in changes.texts.items():
        if [entry.text for entry in after.texts(name)] != [text]:
            raise RefusedError(RefusalReason.UNVERIFIED)
    return splices
