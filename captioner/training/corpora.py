"""Data sets of photos with reference captions: reading their layouts, and the split by photo."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from captioner.app_paths import from_environment
from captioner.errors import CaptionerError, UsageError
from captioner.model.vocabulary import words
from captioner.photos.formats import may_be_photo

Split = Literal["train", "dev", "test", "rest"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test", "rest")
"""`rest` are the photos in no official list: never trained on, evaluated only on request."""

CAPTIONS, TOKENS = "captions.txt", "Flickr8k.token.txt"
PHOTO_FOLDERS = ("Images", "Flicker8k_Dataset", "Flickr8k_Dataset")
"""Kaggle's name, then the original's with its misspelling and without."""
LISTS: Mapping[Split, str] = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}

DATA_REMEDY = (
    "Flickr8k comes from Kaggle (adityajn105/flickr8k), from the Hugging Face hub (jxie/flickr8k;"
    " `captioner train --download FOLDER` fetches it), or from its authors (Flickr8k_Dataset.zip"
    " and Flickr8k_text.zip). Put it into a folder with Images/ and captions.txt, or with"
    " Flicker8k_Dataset/, Flickr8k.token.txt and the split lists, and name that folder"
    " with --data or CAPTIONER_DATA."
)

_TOKEN = re.compile(r"(?P<name>.+)#\d+\t(?P<caption>.*)")
_QUOTED_NAME = re.compile(r'"(?P<name>(?:[^"]|"")*)",(?P<caption>.*)')
_CLASS = re.compile(r"n\d{8}")
_COPY = re.compile(r"(?P<name>.+\.\w+)\.\d+$")


@dataclass(frozen=True, slots=True)
class Example:
    """One photo with its reference captions."""

    path: Path
    captions: tuple[str, ...]
    """As written, stripped, each with at least one word. Empty for a concept's sample."""
    split: Split

    @property
    def name(self) -> str:
        """File name: the photo's name in caption files, split lists and query files."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class Corpus:
    """Photos with captions, each in exactly one split."""

    name: str
    photos: tuple[Example, ...]
    """Those that were on disk, sorted by name."""
    how: str
    """How it was split: "official lists", or "seeded by photo, seed 0"."""
    warnings: tuple[str, ...] = ()
    """What was skipped while reading, one line each, for people."""

    def split(self, name: Split) -> tuple[Example, ...]:
        """The photos of one split, sorted by name; may be empty."""
        return tuple(photo for photo in self.photos if photo.split == name)

    def record(self) -> dict[str, object]:
        """The entry of a bundle's training record."""
        photos = Counter(photo.split for photo in self.photos)
        captions = Counter[str]()
        for photo in self.photos:
            captions[photo.split] += len(photo.captions)
        return {
            "name": self.name,
            "split": self.how,
            "photos": {split: photos[split] for split in SPLITS},
            "captions": {split: captions[split] for split in SPLITS},
        }


def find_data(chosen: Path | None = None) -> Path:
    """The folder to train on or to evaluate: `chosen`, or `CAPTIONER_DATA`.

    Raises
    ------
    UsageError
        If neither is given, or it does not exist.
    """
    place = chosen or from_environment("CAPTIONER_DATA")
    if place is None:
        raise UsageError(
            "no photos with captions: neither --data nor CAPTIONER_DATA is given.", DATA_REMEDY
        )
    if not place.exists():
        raise UsageError(f"no photos with captions at {place}: it does not exist.", DATA_REMEDY)
    return place


def read_corpus(place: Path, *, seed: int = 0) -> Corpus:
    """Read photos and captions in Kaggle's layout or in the original one.

    Parameters
    ----------
    place
        The data set's folder, or a caption file in either format with its photos next to it.
    seed
        Random seed of the split, used only if there are no official lists. The same photos and seed
        give the same split everywhere, and adding a photo moves few others. It is not the seed of
        training: models with different seeds are compared on one split.

    Raises
    ------
    CaptionerError
        If the captions or the photos are missing, or the lists name none of them.
    """
    file = _caption_file(place)
    captions, odd = _captions(file)
    folder = _photo_folder(file)
    present = {entry.name for entry in os.scandir(folder)}
    found: dict[str, list[str]] = {}
    missing = []
    for written, sentences in captions.items():
        name = _on_disk(written, present)
        if name in present:
            found.setdefault(name, []).extend(sentences)
        else:
            missing.append(written)
    if not found:
        raise CaptionerError(
            f"{file} names {len(captions)} photos and none of them is in {folder}.",
            f"Put the photos into {file.parent / 'Images'}.",
        )
    warnings = []
    if odd:
        warnings.append(f"{file}: {_some(odd, 'line')} without a photo or without words skipped")
    if missing:
        warnings.append(
            f"{file}: {_some(missing, 'photo')} not in {folder}, skipped; complete the download"
        )
    lists = _split_lists(file)
    if lists:
        split, how = _official(found, lists), "official lists"
        if set(split.values()) == {"rest"}:
            raise CaptionerError(
                f"the split lists next to {file} name none of its photos.",
                "Take lists and captions from the same data set, or remove the lists.",
            )
    else:
        split, how = _seeded(found, seed), f"seeded by photo, seed {seed}"
    photos = (Example(folder / name, tuple(found[name]), split[name]) for name in sorted(found))
    return Corpus(_name(place), tuple(photos), how, tuple(warnings))


def read_sentences(file: Path) -> tuple[str, ...]:
    """Read captions without photos, one per line; lines without a word are skipped.

    Raises
    ------
    CaptionerError
        If there is no such file, it is not UTF-8, or it contains none.
    """
    try:
        found = tuple(line for line in _lines(file) if words(line))
    except OSError as error:
        raise CaptionerError(
            f"{file} cannot be read: {error.strerror}.",
            "Name a text file with one caption per line.",
        ) from None
    if not found:
        raise CaptionerError(f"{file} contains no sentences.", "Write one caption per line.")
    return found


def read_samples(folder: Path) -> tuple[Example, ...]:
    """Read photos named by WordNet id, such as `n02691156_airliner.jpg`; they have no captions.

    Raises
    ------
    CaptionerError
        If there are none, or two of one class.
    """
    found = sorted(
        path for path in folder.glob("n*") if _CLASS.match(path.name) and may_be_photo(path.name)
    )
    if len(found) < 2 or len({class_of(path) for path in found}) < len(found):
        raise CaptionerError(
            f"{folder} does not contain one photo for each of several classes.",
            "Name each photo by its class's WordNet id: n02691156_airliner.jpg.",
        )
    return tuple(Example(path, (), "train") for path in found)


def read_objects(file: Path) -> dict[str, frozenset[str]]:
    """Read which objects annotators have marked in photos, by the photo's file name.

    Parameters
    ----------
    file
        JSON: `{"photo.jpg": ["dog", "person"]}`. Of all objects that the file names, those that it
        does not list for a photo are absent from it.

    Raises
    ------
    CaptionerError
        If it cannot be read, or contains something else.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CaptionerError(
            f"{file} cannot be read: {reason}.", "Name a JSON file with the objects in photos."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) and words(name) for name in names)
        for names in content.values()
    ):
        raise CaptionerError(
            f"{file} does not list the objects in photos.",
            'It should read {"photo.jpg": ["dog", "person"]}.',
        )
    return {name: frozenset(names) for name, names in content.items()}


def class_of(path: Path) -> str:
    """The WordNet id at the beginning of a sample's name."""
    return path.name[:9]


def _name(place: Path) -> str:
    place = place.resolve()
    return place.name if place.is_dir() else f"{place.parent.name}/{place.name}"


def _caption_file(place: Path) -> Path:
    if place.is_file():
        return place
    texts = (place, place / "Flickr8k_text", place.parent / "Flickr8k_text")
    for file in (place / CAPTIONS, *(text / TOKENS for text in texts)):
        if file.is_file():
            return file
    raise CaptionerError(f"{place} contains neither {CAPTIONS} nor {TOKENS}.", DATA_REMEDY)


def _photo_folder(file: Path) -> Path:
    """Next to the caption file, or next to the `Flickr8k_text` folder that contains it."""
    text = file.parent.name == "Flickr8k_text"
    for base in (file.parent, file.parent.parent) if text else (file.parent,):
        for name in PHOTO_FOLDERS:
            # The original archive unpacks to a folder of the same kind inside the folder.
            for inner in (*(base / name / nested for nested in PHOTO_FOLDERS), base / name):
                if inner.is_dir():
                    return inner
    raise CaptionerError(
        f"no folder of photos next to {file}: looked for {', '.join(PHOTO_FOLDERS)}.",
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


def _captions(file: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Captions by photo name in the file's order, and the lines without one."""
    captions: dict[str, list[str]] = defaultdict(list)
    odd = []
    for line in _lines(file):
        name, caption = _token_line(line) or _csv_line(line)
        if (name.lower(), caption.lower()) == ("image", "caption"):
            continue
        if name and words(caption):
            captions[name].append(caption)
        else:
            odd.append(line)
    if not captions:
        raise CaptionerError(
            f"{file} contains no captions.",
            "Each line should read `photo.jpg,caption` or `photo.jpg#0<tab>caption`.",
        )
    return captions, odd


def _lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaptionerError(
            f"{file} is not UTF-8: {error.reason}.", "Save it as UTF-8."
        ) from error
    yield from filter(None, map(str.strip, text.split("\n")))


def _token_line(line: str) -> tuple[str, str] | None:
    match = _TOKEN.fullmatch(line)
    return (match["name"].strip(), match["caption"].strip()) if match else None


def _csv_line(line: str) -> tuple[str, str]:
    """Photo name and caption of one line.

    Not `csv.reader` over the file: some copies have unquoted captions with an unpaired quote, and
    the reader would swallow every line up to the next quote.
    """
    quoted = _QUOTED_NAME.fullmatch(line)
    if quoted:
        name, caption = quoted["name"].replace('""', '"'), quoted["caption"]
    else:
        name, _, caption = line.partition(",")
    caption = caption.strip()
    if caption.startswith('"'):
        fields = next(csv.reader([caption], strict=False))
        # One properly quoted field, or words that merely begin with a quotation.
        if len(fields) == 1 and caption == '"' + fields[0].replace('"', '""') + '"':
            caption = fields[0]
    return name.strip(), caption.strip()


def _on_disk(name: str, present: Container[str]) -> str:
    """A photo's name on disk: the official token file has a `2258277193_586949ec62.jpg.1`."""
    copy = _COPY.fullmatch(name)
    return copy["name"] if copy and name not in present else name


def _official(names: Mapping[str, object], lists: Mapping[Split, Path]) -> dict[str, Split]:
    split: dict[str, Split] = dict.fromkeys(names, "rest")
    # A photo in two lists is held out rather than trained on: the later list wins.
    for which, file in lists.items():
        for line in _lines(file):
            name = _on_disk(line, split)
            if name in split:
                split[name] = which
    return split


def _seeded(names: Mapping[str, object], seed: int) -> dict[str, Split]:
    """Split 6:1:1 like Flickr8k, at most 1,000 photos in dev and in test, by a hash of the name."""
    order = sorted(
        names, key=lambda name: blake2b(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    )
    held = min(1000, max(1, len(order) // 8)) if len(order) >= 3 else 0
    split: dict[str, Split] = dict.fromkeys(order, "train")
    split.update(dict.fromkeys(order[:held], "dev"))
    split.update(dict.fromkeys(order[held : 2 * held], "test"))
    return split


def _some(things: Sequence[str], noun: str) -> str:
    examples = ", ".join(things[:3])
    more = ", …" if len(things) > 3 else ""
    return f"{len(things)} {noun}{'s' if len(things) > 1 else ''} ({examples}{more})"
