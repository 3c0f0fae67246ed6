"""Captions in files beside the photos: `photo.jpg.xmp`.

That is the name which immich, digiKam and darktable read first, and which no two photos share.
`photo.xmp` is only read: it may belong to the raw photo of the same name.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from captioner.filenames import base_of_version, fold
from captioner.metadata import provenance, recovery, splice, xmp
from captioner.metadata.provenance import Content, Words
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice

SUFFIX = ".xmp"

LARGEST = 16 * 2**20
"""Bytes of a sidecar that is read."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The sidecars of one photo."""

    own: Path
    """The one that belongs to the photo alone, whether it is there or not."""
    others: tuple[Path, ...] = ()
    """Further files that programs may have made for the photo, and that are there."""
    variants: tuple[Path, ...] = ()
    """Those among the others that belong to the photo alone, too: `a.jpg.XMP` and `a.jpg.xmp`."""
    no_room: bool = False
    """The name of its own would be longer than the system allows."""


@dataclass(slots=True)
class _Folder:
    """The names in a folder."""

    sidecars: dict[str, list[str]] = field(default_factory=dict)
    """What comes before the suffix, folded, to the names of the sidecars."""
    versions: dict[str, list[str]] = field(default_factory=dict)
    """Names of photos, folded, to the sidecars of their further versions."""
    photos: set[str] = field(default_factory=set)
    """The names of all other files, and these without what follows their last dot."""


class Folders:
    """What sidecars there are in the folder that was looked at last; it is listed once."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._names = _Folder()

    def of(self, photo: Path) -> Beside:
        """The sidecars of a photo.

        Suffixes count in whatever case they are written, and names in whatever case where no other
        photo bears the name: cameras and Windows write `IMG_1.JPG`, other programs `img_1.jpg.xmp`.

        Raises
        ------
        OSError
            Where the folder cannot be listed.
        """
        if photo.parent != self._path:
            try:
                self._names = _listed(photo.parent)
                self._path = photo.parent
            except PermissionError:  # Files in it may be opened by name all the same.
                self._names, self._path = _probed(photo), None
        whole = self._named(photo.name)
        others = [name for name in self._named(photo.stem) if name not in whole]
        others += [
            name
            for name in self._names.versions.get(fold(photo.name), [])
            if name[: -len(SUFFIX)] not in self._names.photos
        ]
        exact = photo.name + SUFFIX
        own = exact if exact in whole or not whole else whole[0]
        variants = [photo.with_name(name) for name in whole if name != own]
        return Beside(
            photo.with_name(own),
            (*variants, *map(photo.with_name, others)),
            tuple(variants),
            no_room=not whole and _no_room(photo.with_name(own)),
        )

    def made(self, path: Path) -> None:
        """Take note of a sidecar that was made since."""
        if path.parent == self._path:
            _note(self._names, path.name)

    def _named(self, name: str) -> list[str]:
        """The sidecars of a photo with this name, those spelled exactly like it first."""
        found = sorted(self._names.sidecars.get(fold(name), []))
        exact = [one for one in found if one[: -len(SUFFIX)] == name]
        rest = [one for one in found if one not in exact]
        return exact + [one for one in rest if one[: -len(SUFFIX)] not in self._names.photos]


def _listed(folder: Path) -> _Folder:
    found = _Folder()
    for name in os.listdir(folder):  # noqa: PTH208 (paths of 100,000 files would take their time)
        _note(found, name)
    return found


def _probed(photo: Path) -> _Folder:
    found = _Folder()
    for stem in (photo.name, photo.stem):
        for suffix in (SUFFIX, SUFFIX.upper(), SUFFIX.title()):
            if os.path.lexists(photo.with_name(stem + suffix)):
                _note(found, stem + suffix)
    return found


def _note(found: _Folder, name: str) -> None:
    stem, dot, suffix = name.rpartition(".")
    if f"{dot}{suffix}".lower() != SUFFIX:
        found.photos.update((name, stem) if dot else (name,))
        return
    names = found.sidecars.setdefault(fold(stem), [])
    if name not in names:
        names.append(name)
    if photo := base_of_version(stem):
        found.versions.setdefault(fold(photo), []).append(name)


def _no_room(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


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
    blank = not packet or recovery.is_blank(packet)
    read = Content() if blank else provenance.read_xmp(packet or b"")
    content = provenance.released(read, words)
    changes = provenance.changes(content, words, below, everywhere=True)
    splices = xmp.edit(None if blank else packet, changes, embedded=False)
    if blank:
        splices = [Splice(0, len(packet or b""), splices[0].new)]
    after = xmp.understood(splice.apply(packet or b"", splices))
    names = (*changes.texts, *changes.tails, *changes.items, *changes.cut)
    if after.others(*names) != ([] if blank else xmp.understood(packet or b"").others(*names)):
        raise Refused(Reason.UNVERIFIED)
    for name, text in changes.texts.items():
        if [entry.text for entry in after.texts(name)] != [text]:
            raise Refused(Reason.UNVERIFIED)
    return splices
