"""What a data set is once it has been read: photos with captions, each in one split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "dev", "test", "rest"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test", "rest")
"""`rest` are the photos in no official list: never trained on, evaluated only on request."""


@dataclass(frozen=True, slots=True)
class Example:
    """One photo with its reference captions."""

    path: Path
    captions: tuple[str, ...]
    """As written, stripped, each with at least one word. Empty for a concept's sample."""
    split: Split
    listed: str = ""
    """Its name in the caption file if that is not its file name: a path below the photos' folder,
    or the name of a photo that is stored inside the data set."""

    @property
    def name(self) -> str:
        """The photo's name in caption files, split lists, query files and annotations."""
        return self.listed or self.path.name


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
    language: str = ""
    """BCP 47 tag of the captions; empty if nothing says it."""
    weight: float | None = None
    """Sample weight of its photos when it is trained on with another corpus; None: that of the
    run."""
    identical: int = 0
    """Photos whose content is that of another photo of the corpus, those removed included."""

    def split(self, name: Split) -> tuple[Example, ...]:
        """The photos of one split, sorted by name; may be empty."""
        return tuple(photo for photo in self.photos if photo.split == name)

    def record(self) -> dict[str, object]:
        """The entry of a bundle's training record."""
        photos = Counter(photo.split for photo in self.photos)
        captions = Counter[str]()
        for photo in self.photos:
            captions[photo.split] += len(photo.captions)
        known = {
            "language": self.language,
            "weight": self.weight,
            "identical photos": self.identical,
        }
        return {
            "name": self.name,
            "split": self.how,
            "photos": {split: photos[split] for split in SPLITS},
            "captions": {split: captions[split] for split in SPLITS},
            **{name: value for name, value in known.items() if value},
        }
