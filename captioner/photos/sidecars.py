"""Finding sidecar files by name: XMP, and Google Takeout's JSON.

`photo.jpg.xmp` takes precedence over `photo.xmp`, which may also belong to a raw photo of the same
name, and both over Takeout's JSON. An XMP file whose name matches no photo exactly belongs to the
one that it matches without regard to case (`IMG_1.JPG`, `img_1.xmp`) or to Unicode's normal forms,
or of which it names a further version (darktable's `photo_01.jpg.xmp`).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Mapping

from captioner.filenames import base_of_version, fold
from captioner.photos import takeout_names
from captioner.photos.ignore_rules import IgnoreRules
from captioner.types import Sidecar

XMP = ".xmp"
_JSON = ".json"


def is_sidecar(name: str) -> bool:
    """Whether a file has the name of a sidecar."""
    return name.lower().endswith((XMP, _JSON))


class SidecarFinder:
    """Finds the sidecars of the photos in one folder.

    Parameters
    ----------
    entries
        The entries of the folder whose names are `is_sidecar`.
    names
        All names in the folder.
    """

    def __init__(self, entries: Mapping[str, os.DirEntry[str]], names: Collection[str]) -> None:
        self._entries = entries
        self._xmp: dict[str, list[str]] = {}
        self._json: dict[str, list[str]] = {}
        for name in sorted(entries):
            if name.lower().endswith(XMP):
                self._xmp.setdefault(name[: -len(XMP)], []).append(name)
            else:
                for photo in takeout_names.photo_names(name):
                    self._json.setdefault(_composed(photo), []).append(name)
        self._inexact = self._inexact_matches(names)
        """From folded names of photos to the XMP files that match no photo exactly."""

    def _inexact_matches(self, names: Collection[str]) -> dict[str, list[str]]:
        unmatched = [stem for stem in self._xmp if stem not in names]
        if not unmatched:
            return {}
        stems = {name.rpartition(".")[0] for name in names if not name.lower().endswith(XMP)}
        inexact: dict[str, list[str]] = {}
        for stem in unmatched:
            if stem not in stems:
                for photo in filter(None, (stem, base_of_version(stem))):
                    inexact.setdefault(fold(photo), []).extend(self._xmp[stem])
        return inexact

    @classmethod
    def from_entries(
        cls, entries: Mapping[str, os.DirEntry[str]], rules: IgnoreRules | None = None
    ) -> SidecarFinder | None:
        """A finder for all entries of a folder that `rules` do not ignore; None if none match."""
        names = "\0".join(entries).lower() + "\0"  # much faster than testing each name
        if f"{XMP}\0" not in names and f"{_JSON}\0" not in names:
            return None
        return cls(
            {
                name: entry
                for name, entry in entries.items()
                if is_sidecar(name) and not (rules and rules.ignores(name, False))
            },
            entries,
        )

    def of(self, photo: str) -> tuple[Sidecar, ...]:
        """The sidecars of a photo, in order of precedence. They are not opened."""
        exact, by_stem = self._xmp.get(photo), self._xmp.get(photo.rpartition(".")[0])
        if not (exact or by_stem or self._json or self._inexact):
            return ()
        names = [*(exact or ()), *(by_stem or ())]
        if self._inexact:
            for name in (photo, photo.rpartition(".")[0]):
                names += self._inexact.get(fold(name), ())
        if self._json:
            candidates = takeout_names.lookups(_composed(photo))
            names += next(filter(None, map(self._json.get, candidates)), ())
        sidecars = []
        for name in dict.fromkeys(names):
            try:
                entry = self._entries[name]
                if not entry.is_dir():
                    status = entry.stat()
                    sidecars.append(Sidecar(name, status.st_size, status.st_mtime_ns))
            except OSError:
                continue  # a broken link
        return tuple(sidecars)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
