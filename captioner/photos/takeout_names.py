"""File names of Google Takeout's JSON files.

Google writes `photo.jpg.json` or, since 2024, `photo.jpg.supplemental-metadata.json`, and truncates
what precedes `.json` to 46 characters. A second photo of the same name is `photo(1).jpg`, and its
JSON file `photo.jpg(1).json`. An edited photo, `photo-edited.jpg` in English, shares the JSON file
of the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SUFFIX = ".json"

_SUPPLEMENT = ".supplemental-metadata"
_MAX_LENGTH = 46
"""Characters before `.json`."""
_NUMBERED = re.compile(r"(.*)(\(\d+\))", re.DOTALL)
_EDITED = re.compile(
    "(.*)-(?:edited|bearbeitet|modifié|modifie|editado|editada|modificato|bewerkt|edytowane|redigerad"
    "|redigeret|redigert|muokattu|upraveno|upravené|düzenlendi|изменено|編集済み|已修改|수정됨)",
    re.DOTALL,
)


def photo_names(sidecar: str) -> Iterator[str]:
    """The names of the photos that a JSON file may belong to, in the form that `lookups` gives."""
    stem = sidecar[: -len(SUFFIX)]
    number = ""
    if numbered := _NUMBERED.fullmatch(stem):
        yield stem  # the number of photo(1).json belongs to the photo
        stem, number = numbered.groups()
    for length in range(len(_SUPPLEMENT), 0, -1):
        if stem.endswith(_SUPPLEMENT[:length]):
            yield stem[:-length] + number
            break
    yield stem + number


def lookups(photo: str) -> Iterator[str]:
    """The names to look up among `photo_names` for a photo, most likely first."""
    for name in (photo, original(photo)):
        if not name:
            continue
        stem, dot, extension = name.rpartition(".")
        numbered = _NUMBERED.fullmatch(stem)
        number = numbered[2] if numbered else ""
        unnumbered = f"{numbered[1]}{dot}{extension}" if numbered else name
        yield name
        if number:
            yield unnumbered + number
        yield from (short + number for short in _truncated(unnumbered))
        if dot:
            yield stem  # for photos whose title has no extension


def _truncated(photo: str) -> Iterator[str]:
    """A long name as Takeout truncates it: by characters or, reportedly, by UTF-8 bytes."""
    if len(photo) > _MAX_LENGTH:
        yield photo[:_MAX_LENGTH]
    content = photo.encode("utf-8", "surrogateescape")
    if len(content) > _MAX_LENGTH:
        yield content[:_MAX_LENGTH].decode("utf-8", "ignore")


def original(photo: str) -> str | None:
    """The name of the original of an edited photo; None for other photos."""
    stem, dot, extension = photo.rpartition(".")
    numbered = _NUMBERED.fullmatch(stem)
    if numbered:
        stem = numbered[1]
    edited = _EDITED.fullmatch(stem)
    return f"{edited[1]}{numbered[2] if numbered else ''}{dot}{extension}" if edited else None


def without_number(photo: str) -> str:
    """A photo's name without the number of a duplicate name: `a(1).jpg` → `a.jpg`."""
    stem, dot, extension = photo.rpartition(".")
    numbered = _NUMBERED.fullmatch(stem)
    return f"{numbered[1]}{dot}{extension}" if numbered else photo
