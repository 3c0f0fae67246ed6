"""Photos stored inside a data set: written once to the cache folder, where training reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from captioner.app_paths import usable_cache
from captioner.errors import CaptionerError
from captioner.hashing import hash_bytes
from captioner.training.corpora.columns import Roles, add_row, row_split, text_of
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Caption, Captions, Columns
from captioner.training.corpora.splits import Splits, split_named

BATCH = 64
"""Rows that are in memory at a time."""
_INDEX = "captions.json"
"""Written last: a folder that has it is complete."""
_SUFFIXES = {
    b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp",
    b"II*\0": ".tif", b"MM\0*": ".tif",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredPhotos:
    """Rows that hold photos, and which of their columns hold what."""

    files: tuple[Path, ...]
    """What the rows are read from; photos are extracted again if one of these changes."""
    rows: Iterator[tuple[str, str, Roles, Mapping[str, Any]]]
    """Where a row is, for messages; its split or an empty string; its columns; its cells."""
    columns: Columns
    """Those that were named."""


def extract(place: Path, stored: StoredPhotos) -> Captions:
    """Write the photos to the cache folder, unless they are there, and read the captions.

    A photo is named by the hash of its content, so that one that is in several rows is one file.

    Raises
    ------
    CaptionerError
        If there is no cache folder, or no room in it.
    """
    cache = usable_cache("corpora")
    if cache is None:
        raise CaptionerError(
            f"the photos in {place} cannot be extracted: there is no cache folder with free space.",
            "Set CAPTIONER_HOME to a folder on a disk with more space.",
        )
    folder = cache / f"{place.name}-{_digest(stored)}"
    if made := _read_index(place, folder):
        return made
    try:
        folder.mkdir(exist_ok=True)
        return _extract(place, folder, stored)
    except OSError as error:
        raise CaptionerError(
            f"the photos in {place} cannot be extracted to {folder}: {error.strerror or error}.",
            "Free some space, or set CAPTIONER_HOME to a folder on another disk.",
        ) from error


def _extract(place: Path, folder: Path, stored: StoredPhotos) -> Captions:
    paths: dict[str, Path] = {}
    made = Captions(place, (folder, place if place.is_dir() else place.parent), paths=paths)
    splits = Splits()
    for where, split, roles, row in stored.rows:
        image = row.get(roles.image)
        data, inner = (
            (image.get("bytes"), str(image.get("path") or ""))
            if isinstance(image, Mapping)
            else (image, "")
        )
        name = text_of(row, roles.photo) or Path(inner).name
        if data:
            path = _write(folder, data)
            if name in paths and paths[name] != path:  # another photo of the same name
                name = ""
            name = name or path.name
            paths[name] = path
        elif inner:
            name = inner
        else:
            name = ""
        add_row(made, row, roles, name, where)
        splits.add(name, split or row_split(row, roles))
    if not made.photos:
        raise CaptionerError(
            f"{place} contains no captions.", "Each row needs a photo and at least one caption."
        )
    if splits.by_photo:
        made.split, made.how = splits.by_photo, "splits of the data set"
    _write_index(folder, made)
    return made


def _write(folder: Path, data: bytes) -> Path:
    suffix = next((s for magic, s in _SUFFIXES.items() if data.startswith(magic)), ".jpg")
    path = folder / f"{hash_bytes(data).hex()[:24]}{suffix}"
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(path)
    return path


def _digest(stored: StoredPhotos) -> str:
    key = blake2b(repr(sorted(stored.columns.items())).encode(), digest_size=8)
    for file in stored.files:
        facts = file.stat()
        key.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return key.hexdigest()


def _write_index(folder: Path, made: Captions) -> None:
    content = {
        "how": made.how,
        "skipped": made.skipped,
        "split": made.split,
        "photos": {
            name: {
                "file": made.paths[name].name if name in made.paths else "",
                "captions": [[caption.text, caption.language] for caption in captions],
            }
            for name, captions in made.photos.items()
        },
    }
    partial = folder / f"{_INDEX}.partial"
    partial.write_text(json.dumps(content), "utf-8")
    partial.replace(folder / _INDEX)


def _read_index(place: Path, folder: Path) -> Captions | None:
    file = folder / _INDEX
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text("utf-8"))
        split: dict[str, Split] | None = content["split"] and {
            name: split_named(which) or "rest" for name, which in content["split"].items()
        }
        return Captions(
            place,
            (folder, place if place.is_dir() else place.parent),
            {
                name: [Caption(text, language) for text, language in photo["captions"]]
                for name, photo in content["photos"].items()
            },
            content["skipped"],
            split,
            content["how"],
            {
                name: folder / photo["file"]
                for name, photo in content["photos"].items()
                if photo["file"]
            },
        )
    except (ValueError, KeyError, TypeError):
        return None
