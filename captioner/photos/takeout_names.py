"""The names of Google Takeout's JSON files.

Google writes `photo.jpg.json` or, since 2024, `photo.jpg.supplemental-metadata.json`, and cuts
what comes before `.json` to 46 characters. Of photos of the same name, the second is
`photo(1).jpg`, and its file `photo.jpg(1).json`. A photo that was edited, `photo-edited.jpg` in
English, shares the file of the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SUFFIX = ".json"

_SUPPLEMENT = ".supplemental-metadata"
_LONGEST = 46
"""Characters before `.json`."""
_COUNTED = re.compile(r"(.*)(\(\d+\))", re.DOTALL)
_EDITED = re.compile(
    "(.*)-(?:edited|bearbeitet|modifié|modifie|editado|editada|modificato|bewerkt|edytowane|redigerad"
    "|redigeret|redigert|muokattu|upraveno|upravené|düzenlendi|изменено|編集済み|已修改|수정됨)",
    re.DOTALL,
)


def photo_names(sidecar: str) -> Iterator[str]:
    """The names of the photos that a JSON file may be about, spelled as `lookups` spells them."""
    stem = sidecar[: -len(SUFFIX)]
    count = ""
    if counted := _COUNTED.fullmatch(stem):
        yield stem  # photo(1).jpg.json has no such end, but photo(1).json has
        stem, count = counted.groups()
    for length in range(len(_SUPPLEMENT), 0, -1):
        if stem.endswith(_SUPPLEMENT[:length]):
            yield stem[:-length] + count
            break
    yield stem + count


def lookups(photo: str) -> Iterator[str]:
    """What to look for among `photo_names`, the likeliest first."""
    for name in (photo, original(photo)):
        if not name:
            continue
        stem, dot, ending = name.rpartition(".")
        counted = _COUNTED.fullmatch(stem)
        count = counted[2] if counted else ""
        plain = f"{counted[1]}{dot}{ending}" if counted else name
        yield name
        if count:
            yield plain + count
        yield from (short + count for short in _shortened(plain))
        if dot:
            yield stem  # of photos whose title has no ending


def _shortened(photo: str) -> Iterator[str]:
    """A long name as Takeout cuts it, by characters or, as is said of other scripts, by bytes."""
    if len(photo) > _LONGEST:
        yield photo[:_LONGEST]
    content = photo.encode("utf-8", "surrogateescape")
    if len(content) > _LONGEST:
        yield content[:_LONGEST].decode("utf-8", "ignore")


def original(photo: str) -> str | None:
    """The name of the photo that an edited one was made from."""
    stem, dot, ending = photo.rpartition(".")
    counted = _COUNTED.fullmatch(stem)
    if counted:
        stem = counted[1]
    edited = _EDITED.fullmatch(stem)
    return f"{edited[1]}{counted[2] if counted else ''}{dot}{ending}" if edited else None


def plain(photo: str) -> str:
    """A photo's name without the number that tells it from others of the same name."""
    stem, dot, ending = photo.rpartition(".")
    counted = _COUNTED.fullmatch(stem)
    return f"{counted[1]}{dot}{ending}" if counted else photo
