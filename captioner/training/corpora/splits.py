"""Which photo is in which split: by official lists, or by a hash of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path

from captioner.training.corpora.corpus import Split
from captioner.training.corpora.lines import read_lines

NAMES: Mapping[str, Split] = {
    "train": "train", "training": "train", "restval": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "test": "test", "testing": "test",
    "rest": "rest",
}  # fmt: skip
"""What splits are called. Karpathy's `restval` is what is left of COCO's val, for training."""


def split_named(name: str) -> Split | None:
    """The split that a column or a file calls so, in any case; None if there is none."""
    return NAMES.get(name.strip().lower())


def by_lists(
    names: Iterable[str], lists: Mapping[Split, Path], normal: Callable[[str], str] = str
) -> dict[str, Split]:
    """The split of photos by files that list their names; "rest" for those in no list.

    Parameters
    ----------
    normal
        From a name, as lists or captions spell it, to what both spellings have in common.
    """
    split: dict[str, Split] = dict.fromkeys(names, "rest")
    spelled = {normal(name): name for name in split}
    # A photo in two lists is held out rather than trained on: the later list wins.
    for which, file in lists.items():
        for line in read_lines(file):
            name = line if line in split else spelled.get(normal(line), "")
            if name in split:
                split[name] = which
    return split


def by_hash(names: Iterable[str], seed: int) -> dict[str, Split]:
    """Split 6:1:1 like Flickr8k, at most 1,000 photos in dev and in test, by a hash of the name.

    The same photos and seed give the same split everywhere, and adding a photo moves few others.
    """
    order = in_hash_order(names, seed)
    held = min(1000, max(1, len(order) // 8)) if len(order) >= 3 else 0
    split: dict[str, Split] = dict.fromkeys(order, "train")
    split.update(dict.fromkeys(order[:held], "dev"))
    split.update(dict.fromkeys(order[held : 2 * held], "test"))
    return split


def in_hash_order(names: Iterable[str], seed: int) -> list[str]:
    """Names in an order that depends on the seed and on each name alone."""
    return sorted(
        names, key=lambda name: blake2b(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    )


class Splits:
    """The splits of photos, as rows of tables name them."""

    def __init__(self) -> None:
        self.by_photo: dict[str, Split] = {}

    def add(self, photo: str, split: str) -> None:
        """Note the split of a photo; of two the later of train, dev and test counts."""
        if photo and (which := split_named(split)):
            before = self.by_photo.get(photo, "rest")
            self.by_photo[photo] = max(before, which, key=_ORDER.index)


_ORDER: tuple[Split, ...] = ("rest", "train", "dev", "test")
