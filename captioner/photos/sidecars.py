"""Sidecar files, found by their names: XMP and Google Takeout's JSON beside a photo.

`photo.jpg.xmp` counts before `photo.xmp`, which may belong to a raw photo of the same name as well,
and both before Takeout's JSON.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from captioner.photos import takeout_names
from captioner.photos.ignore import Rules
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
    """

    def __init__(self, entries: Mapping[str, os.DirEntry[str]]) -> None:
        self._entries = entries
        self._xmp: dict[str, list[str]] = {}
        self._json: dict[str, list[str]] = {}
        for name in sorted(entries):
            if name.lower().endswith(XMP):
                self._xmp.setdefault(name[: -len(XMP)], []).append(name)
            else:
                for photo in takeout_names.photo_names(name):
                    self._json.setdefault(photo, []).append(name)

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
            }
        )

    def of(self, photo: str) -> tuple[Sidecar, ...]:
        """The sidecars of a photo, most important first; their content is not known yet."""
        whole, short = self._xmp.get(photo), self._xmp.get(photo.rpartition(".")[0])
        if not (whole or short or self._json):
            return ()
        names = [*(whole or ()), *(short or ())]
        if self._json:
            names += next(filter(None, map(self._json.get, takeout_names.lookups(photo))), ())
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
