"""Flickr30k: Kaggle's `results.csv`, and the token file of its authors.

With Karpathy's `dataset_flickr30k.json` next to them, that is read instead: it has the splits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.lines import numbered_lines, token_line
from captioner.training.corpora.splits import by_lists

name = "Flickr30k"
looks_for = "results.csv or results_20130124.token"

RESULTS, TOKENS = "results.csv", "results_20130124.token"
LISTS: Mapping[Split, tuple[str, ...]] = {
    "train": ("flickr30k_train.txt", "train.txt"),
    "dev": ("flickr30k_val.txt", "val.txt"),
    "test": ("flickr30k_test.txt", "test.txt"),
}
"""Names of split lists: those of Flickr30k Entities, whose photos have no extension, come last."""

_UNPARTED = re.compile(r"(?P<number>\d+)\s+(?P<caption>\D.*)")
"""The one row of Kaggle's file without its second bar: `2199200615.jpg| 4   A dog runs …`."""


def find(place: Path) -> Path | None:
    """The token file or Kaggle's file, which is in the folder or one or two below it."""
    if place.is_file():
        named = place.name == RESULTS and _has_bars(place)
        return place if named or place.suffix == ".token" else None
    inner = (place, place / "flickr30k_images", place / "flickr30k", place / "flickr30k-images")
    for folder in inner:
        if (folder / TOKENS).is_file():
            return folder / TOKENS
        if (folder / RESULTS).is_file() and _has_bars(folder / RESULTS):
            return folder / RESULTS
    return None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read lines `photo.jpg| 0| caption` or `photo.jpg#0<tab>caption`, and lists next to them."""
    made = Captions(found, photo_folders(found.parent, found.parent.parent))
    for number, line in numbered_lines(found):
        photo, caption = token_line(line) or bar_line(line)
        if (photo, caption) == ("image_name", "comment"):
            continue
        if not made.add(photo, caption):
            made.skipped.append(f"{number}: {line}")
    if not made.photos:
        raise CaptionerError(
            f"{found} contains no captions.",
            "Each line should read `photo.jpg| 0| caption` or `photo.jpg#0<tab>caption`.",
        )
    if lists := _split_lists(found):
        made.split = by_lists(made.photos, lists, lambda photo: photo.removesuffix(".jpg"))
    return made


def bar_line(line: str) -> tuple[str, str]:
    """Photo name and caption of a line of Kaggle's file; empty where there are none."""
    photo, _, rest = line.partition("|")
    number, bar, caption = rest.partition("|")
    if not bar and (match := _UNPARTED.fullmatch(number.strip())):
        caption = match["caption"]
    return photo.strip(), caption.strip()


def _has_bars(file: Path) -> bool:
    with file.open("rb") as opened:
        return b"|" in opened.readline(1000)


def _split_lists(file: Path) -> dict[Split, Path]:
    return {
        split: folder / name
        for split, names in LISTS.items()
        for folder in (file.parent.parent, file.parent)
        for name in reversed(names)
        if (folder / name).is_file()
    }
