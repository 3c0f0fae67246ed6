"""Sidecar files, found by their names: XMP and Google Takeout's JSON beside a photo.

`photo.jpg.xmp` counts before `photo.xmp`, which may belong to a raw photo of the same name as well,
and both before Takeout's JSON. An XMP file whose name fits no photo exactly belongs to the one that
it fits without regard to case (`IMG_1.JPG`, `img_1.xmp`) or Unicode's normal forms, or of which it
names a further version (darktable's `photo_01.jpg.xmp`).
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Mapping

from captioner.filenames import folded, of_version
from captioner.photos import takeout_names
from captioner.photos.ignore_rules import Rules
from captioner.types import Sidecar

XMP = ".xmp"
_JSON = ".json"


def is_sidecar(name: str) -> bool:
    """Whether a file has the name of a sidecar."""
    return name.lower().endswith((XMP, _JSON))


class SidecarNames:
    """The sidecars of one folder, found by the names of the photos.

    Parameters
    ----------
    entries
        Those of the folder whose names are `is_sidecar`.
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
        self._nearly = self._fitting_nearly(names)
        """Names of photos, folded, to the XMP files that fit no photo exactly."""

    def _fitting_nearly(self, names: Collection[str]) -> dict[str, list[str]]:
        without = [stem for stem in self._xmp if stem not in names]
        if not without:
            return {}
        short = {name.rpartition(".")[0] for name in names if not name.lower().endswith(XMP)}
        nearly: dict[str, list[str]] = {}
        for stem in without:
            if stem not in short:
                for photo in filter(None, (stem, of_version(stem))):
                    nearly.setdefault(folded(photo), []).extend(self._xmp[stem])
        return nearly

    @classmethod
    def among(
        cls, entries: Mapping[str, os.DirEntry[str]], rules: Rules | None = None
    ) -> SidecarNames | None:
        """Those among all entries of a folder that rules do not leave out; None if none."""
        names = "\0".join(entries).lower() + "\0"  # much faster than to look at each
        if f"{XMP}\0" not in names and f"{_JSON}\0" not in names:
            return None
        return cls(
            {
                name: entry
                for name, entry in entries.items()
                if is_sidecar(name) and not (rules and rules.leave_out(name, False))
            },
            entries,
        )

    def of(self, photo: str) -> tuple[Sidecar, ...]:
        """The sidecars of a photo, most important first; their content is not known yet."""
        whole, short = self._xmp.get(photo), self._xmp.get(photo.rpartition(".")[0])
        if not (whole or short or self._json or self._nearly):
            return ()
        names = [*(whole or ()), *(short or ())]
        if self._nearly:
            for name in (photo, photo.rpartition(".")[0]):
                names += self._nearly.get(folded(name), ())
        if self._json:
            lookups = takeout_names.lookups(_composed(photo))
            names += next(filter(None, map(self._json.get, lookups)), ())
        found = []
        for name in dict.fromkeys(names):
            try:
                entry = self._entries[name]
                if not entry.is_dir():
                    status = entry.stat()
                    found.append(Sidecar(name, status.st_size, status.st_mtime_ns))
            except OSError:
                continue  # a link that leads nowhere
        return tuple(found)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
