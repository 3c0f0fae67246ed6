"""Flickr8k: Kaggle's layout, its authors' layout, and what hubs make of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.lines import csv_line, numbered_lines, token_line
from captioner.training.corpora.splits import by_lists

name = "Flickr8k"
looks_for = "captions.txt or Flickr8k.token.txt"

CAPTIONS, TOKENS = "captions.txt", "Flickr8k.token.txt"
LISTS: Mapping[Split, str] = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}

_COPY = re.compile(r"(?P<name>.+\.\w+)\.\d+$")
_NUMBER = re.compile(r"\d+\s*,\s*(?P<caption>.*)")


def find(place: Path) -> Path | None:
    """The caption file: `captions.txt` or the token file; any text file that is named itself."""
    if place.is_file():
        return place if place.suffix == ".txt" else None
    texts = (place, place / "Flickr8k_text", place.parent / "Flickr8k_text")
    for file in (place / CAPTIONS, *(text / TOKENS for text in texts)):
        if file.is_file():
            return file
    return None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read lines `photo.jpg,caption` or `photo.jpg#0<tab>caption`, and the lists next to them."""
    made = Captions(found, (_photo_folder(found),))
    numbered = False
    for number, line in numbered_lines(found):
        photo, caption = token_line(line) or csv_line(line)
        if (photo.lower(), caption.lower()) in HEADERS:
            # Some copies of Flickr30k have the caption's number in a column between the two.
            numbered = "number" in caption
            continue
        if numbered and (match := _NUMBER.fullmatch(caption)):
            caption = csv_line(f"x,{match['caption']}")[1]
        if not made.add(photo, caption):
            made.skipped.append(f"{number}: {line}")
    if not made.photos:
        raise CaptionerError(
            f"{found} contains no captions.",
            "Each line should read `photo.jpg,caption` or `photo.jpg#0<tab>caption`.",
        )
    if lists := _split_lists(found):
        made.split = by_lists(made.photos, lists, without_number)
    return made


HEADERS = {
    ("image", "caption"),
    ("image_name", "caption"),
    ("image_name", "comment_number,comment"),
    ("image_name", "comment_number, comment"),
    ("image", "caption_number,caption"),
}


def without_number(photo: str) -> str:
    """A photo's name on disk: the official token file has a `2258277193_586949ec62.jpg.1`."""
    copy = _COPY.fullmatch(photo)
    return copy["name"] if copy else photo


def _photo_folder(file: Path) -> Path:
    """Next to the caption file, or next to the `Flickr8k_text` folder that contains it."""
    bases = [file.parent]
    if file.parent.name == "Flickr8k_text":
        bases.append(file.parent.parent)
    for folder in photo_folders(*bases):
        if folder not in bases:
            return folder
    raise CaptionerError(
        f"no folder of photos next to {file}: looked for Images, Flicker8k_Dataset and others.",
        f"Put the photos into {file.parent / 'Images'}.",
    )


def _split_lists(file: Path) -> dict[Split, Path]:
    """The official lists next to the caption file or in a folder there; train, dev, test."""
    folders = (file.parent, *sorted(p for p in file.parent.iterdir() if p.is_dir()))
    lists: dict[Split, Path] = {}
    for split, name in LISTS.items():
        for folder in folders:
            if (folder / name).is_file():
                lists[split] = folder / name
                break
    return lists
