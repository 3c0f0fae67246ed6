"""Photos that are the same file, byte for byte: no copy is in another split than its original."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from captioner.hashing import hash_file
from captioner.training.corpora.corpus import Corpus, Example

_TAIL = 16 << 10
"""Bytes at the end that are compared before whole files: beginnings of photos are often alike."""
_RANK = {"rest": 0, "train": 1, "dev": 2, "test": 3}


def identical(paths: Iterable[Path]) -> list[tuple[Path, ...]]:
    """Groups of files with the same content; files that cannot be read are in none.

    Only files of one size are opened, and only those with the same end are read whole.
    """
    groups: list[list[Path]] = [list(dict.fromkeys(paths))]
    for key in (_size, _tail, hash_file):
        groups = [part for group in groups for part in _parted(group, key)]
    return [tuple(group) for group in groups]


def _parted(group: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    parts: dict[Hashable, list[Path]] = defaultdict(list)
    for path in group:
        try:
            parts[key(path)].append(path)
        except OSError:
            continue
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(_TAIL, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read()


def in_one_split(photos: Sequence[Example]) -> tuple[tuple[Example, ...], int, int]:
    """Remove photos that are also in a later split, of train, dev and test.

    Returns
    -------
    The others; how many photos are identical to another one; how many were removed.
    """
    by_path = {photo.path: photo for photo in photos}
    copies, removed = 0, set()
    for group in identical(by_path):
        copies += len(group) - 1
        last = max(_RANK[by_path[path].split] for path in group)
        removed |= {path for path in group if _RANK[by_path[path].split] < last}
    return tuple(photo for photo in photos if photo.path not in removed), copies, len(removed)


def without_held_out(main: Corpus, extra: Sequence[Corpus]) -> tuple[Corpus, ...]:
    """The extra data without photos that would be both trained on and held out.

    Removed are photos identical to one of the main data's dev or test split; held-out ones that the
    main data train on; and those that another corpus of the extra data holds out. A file that is in
    two corpora is no copy of itself, and goes by the first.
    """
    first = {photo.path: photo.split for photo in main.photos if photo.split != "rest"}
    added: dict[Path, bool] = {}
    """Whether a photo of the extra data is held out."""
    for photo in (photo for corpus in extra for photo in corpus.photos):
        if photo.path not in first:
            added.setdefault(photo.path, photo.split == "dev")
    removed: set[Path] = set()
    for group in identical([*first, *added]):
        splits = {first[path] for path in group if path in first}
        ours = [path for path in group if path in added]
        if splits - {"train"}:
            removed.update(ours)
        elif splits:
            removed.update(path for path in ours if added[path])
        elif any(added[path] for path in ours):
            removed.update(path for path in ours if not added[path])
    return tuple(_without(corpus, removed) for corpus in extra)


def _without(corpus: Corpus, removed: set[Path]) -> Corpus:
    kept = tuple(photo for photo in corpus.photos if photo.path not in removed)
    if count := len(corpus.photos) - len(kept):
        plural = "s are" if count > 1 else " is"
        warning = (
            f"{corpus.name}: {count:,} photo{plural} in other data as well, held out in one of the "
            "two, so not used"
        )
        return replace(corpus, photos=kept, warnings=(*corpus.warnings, warning))
    return corpus
