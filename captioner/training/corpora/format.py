"""What every format of a data set has in common: a module that finds its files and reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from captioner.training.corpora.corpus import Split

Columns = Mapping[str, tuple[str, ...]]
"""Columns of a table by what they hold: "photo", "caption", "language", "split", "image"."""
PHOTO_FOLDERS = (
    "Images", "images", "photos", "Flicker8k_Dataset", "Flickr8k_Dataset",
    "flickr30k_images", "flickr30k-images",
)  # fmt: skip
"""Usual names of the folder of photos: Kaggle's, then the authors', one with a misspelling."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a data set is read."""

    seed: int = 0
    """Of the split, where no list says which photo is in which."""
    language: str = ""
    """BCP 47 tag of the captions to use; empty: those of the only language there is."""
    columns: Columns = field(default_factory=dict)
    """Columns of tables that are not found by their names."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption as a file has it."""

    text: str
    """Stripped, with at least one word."""
    language: str = ""


@dataclass(slots=True)
class Captions:
    """What a format reads: captions by photo, before it is known which photos are on disk."""

    file: Path
    """The caption file, for messages."""
    folders: tuple[Path, ...]
    """Where the photos may be: names are relative to one of these."""
    photos: dict[str, list[Caption]] = field(default_factory=dict)
    """By the photo's name, in the file's order."""
    skipped: list[str] = field(default_factory=list)
    """Lines without a photo or without words."""
    split: Mapping[str, Split] | None = None
    """The split of photos by name, from official lists; the others are in none. None: no lists."""
    how: str = "official lists"
    """Where `split` comes from."""
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Files of photos that are not in `folders` by their names."""

    def add(self, photo: str, text: str, language: str = "") -> bool:
        """Add a caption; False if it has no photo or no words."""
        from captioner.model.vocabulary import words

        photo, text = photo.strip(), text.strip()
        if not photo or not words(text):
            return False
        self.photos.setdefault(photo, []).append(Caption(text, language.strip()))
        return True


class Format(Protocol):
    """A module that reads one format of data sets.

    To add one: a module with these names, in `captioner/training/corpora/`, and its name in
    `registry.FORMATS`; from outside the package, `corpora.register("my_package.my_format")`.
    """

    name: str
    """As people call it."""
    looks_for: str
    """What makes a folder one of this format, to complete "looked for …"."""

    def find(self, place: Path) -> Path | None:
        """The file or folder that is read, if `place` is a data set of this format.

        Parameters
        ----------
        place
            A folder, or a file.

        Raises
        ------
        CaptionerError
            If it is, but several files could be meant.
        """

    def read(self, found: Path, options: ReadOptions) -> Captions:
        """Read what `find` found.

        Raises
        ------
        CaptionerError
            If it cannot be read: the file, the line, the reason, and what to do.
        """


def photo_folders(*bases: Path, names: Sequence[str] = PHOTO_FOLDERS) -> tuple[Path, ...]:
    """Folders next to a caption file in which photos may be, those that exist; the bases last.

    Archives often unpack into a folder of the same kind inside the folder.
    """
    inner = [base / name for base in bases for name in names]
    nested = [folder / name for folder in inner for name in (folder.name, *names)]
    every = dict.fromkeys((*nested, *inner, *bases))
    return tuple(folder for folder in every if folder.is_dir())
