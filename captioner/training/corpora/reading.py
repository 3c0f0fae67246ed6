"""Reading of a data set: its format, its photos on disk, its language, and the split by photo."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from captioner.app_paths import from_environment
from captioner.errors import CaptionerError, UsageError
from captioner.training.corpora import registry
from captioner.training.corpora.copies import in_one_split
from captioner.training.corpora.corpus import Corpus, Example, Split
from captioner.training.corpora.description import Description
from captioner.training.corpora.flickr8k import without_number
from captioner.training.corpora.format import Caption, Captions, Columns, ReadOptions
from captioner.training.corpora.splits import by_hash

DATA_REMEDY = (
    "Flickr8k comes from Kaggle (adityajn105/flickr8k), from the Hugging Face hub (jxie/flickr8k;"
    " `captioner train --download FOLDER` fetches it), or from its authors (Flickr8k_Dataset.zip"
    " and Flickr8k_text.zip). For photos of your own, put them into a folder Images/ and write"
    " their captions into captions.txt next to it, one per line: photo.jpg,caption. Name the folder"
    " with --data or CAPTIONER_DATA."
)


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


def read_corpus(
    place: Path,
    *,
    seed: int = 0,
    language: str = "",
    columns: Columns | None = None,
    weight: float | None = None,
) -> Corpus:
    """Read photos and captions in any of the known formats.

    Parameters
    ----------
    place
        The data set's folder, its caption file with the photos next to it, or a `corpus.toml`.
    seed
        Random seed of the split, used only if there are no official lists. It is not the seed of
        training: models with different seeds are compared on one split.
    language
        BCP 47 tag of the captions to read, if there are several languages: "de" reads "de-AT" too.
    columns
        Columns of a table, where they are not found by their names.
    weight
        Sample weight of the photos; None: that of `corpus.toml`, if it has one.

    Raises
    ------
    CaptionerError
        If the captions or the photos are missing, cannot be read, or are in several languages.
    """
    if not place.exists():
        raise UsageError(f"no photos with captions at {place}: it does not exist.", DATA_REMEDY)
    described = Description.of(place)
    if not described.captions.exists():
        raise CaptionerError(
            f"{place} names {described.captions}, which does not exist.", "Correct the name."
        )
    options = ReadOptions(seed, language, {**described.columns, **(columns or {})})
    format_, found = registry.find(described.captions, DATA_REMEDY)
    try:
        read = format_.read(found, options)
    except OSError as error:
        raise CaptionerError(
            f"{error.filename or found} cannot be read: {error.strerror or error}.", DATA_REMEDY
        ) from error
    if described.photos:
        read.folders = (described.photos,)
    tag = _choose_language(read, language, described.language)
    photos, warnings = _on_disk(read, seed)
    photos, copies, removed = in_one_split(photos)
    if removed:
        warnings.append(
            f"{place}: {_some_photos(removed)} in the train or dev split whose content is in a "
            "later split, skipped"
        )
    return Corpus(
        _name(place), photos, read.how, tuple(warnings), tag,
        described.weight if weight is None else weight, copies,
    )  # fmt: skip


def _name(place: Path) -> str:
    place = place.resolve()
    return place.name if place.is_dir() else f"{place.parent.name}/{place.name}"


def _choose_language(read: Captions, wanted: str, declared: str) -> str:
    """Keep the captions of one language; its tag, empty if it is not known."""
    counts = Counter(
        caption.language or declared for captions in read.photos.values() for caption in captions
    )
    known = {tag: count for tag, count in counts.items() if tag}
    listed = ", ".join(f"{tag} ({count:,})" for tag, count in sorted(known.items()))
    if not wanted:
        if len(known) > 1:
            first = max(known, key=lambda tag: known[tag])
            raise CaptionerError(
                f"{read.file} has captions in several languages, {listed}; a model learns one.",
                f"Choose it with --language, such as --language {first}.",
            )
        return next(iter(known), "")
    read.photos = {
        photo: kept
        for photo, captions in read.photos.items()
        if (kept := [one for one in captions if _is_in(one, declared, wanted)])
    }
    if not read.photos:
        raise CaptionerError(
            f'{read.file} has no captions in the language "{wanted}": it has {listed}.',
            "Name one of these with --language, or omit this data set.",
        )
    return wanted


def _is_in(caption: Caption, declared: str, wanted: str) -> bool:
    """Whether a caption is in a language, by basic filtering of tags (RFC 4647, 3.3.1)."""
    tag = (caption.language or declared or wanted).lower().replace("_", "-")
    return f"{tag}-".startswith(f"{wanted.lower().replace('_', '-')}-")


def _on_disk(read: Captions, seed: int) -> tuple[tuple[Example, ...], list[str]]:
    """The photos that are there, split, sorted by name; and what was skipped."""
    finder = PhotoFinder(read.folders, read.paths)
    found: dict[Path, list[str]] = {}
    written: dict[Path, str] = {}
    missing = []
    for photo, captions in read.photos.items():
        if path := finder.find(photo):
            found.setdefault(path, []).extend(caption.text for caption in captions)
            written.setdefault(path, photo)
        else:
            missing.append(photo)
    folders = " or ".join(map(str, read.folders[:3])) or str(read.file.parent)
    if not found:
        raise CaptionerError(
            f"{read.file} names {len(read.photos)} photos and none of them is in {folders}.",
            f"Put the photos into {read.file.parent / 'Images'}.",
        )
    warnings = []
    if read.skipped:
        warnings.append(
            f"{read.file}: {some(read.skipped, 'line')} without a photo or without words skipped"
        )
    if missing:
        warnings.append(
            f"{read.file}: {some(missing, 'photo')} not in {folders}, skipped; complete the "
            "download"
        )
    names = _names(written, read.paths)
    split = _split(read, written, names, seed)
    photos = [
        Example(path, tuple(captions), split[path], "" if names[path] == path.name else names[path])
        for path, captions in found.items()
    ]
    return tuple(sorted(photos, key=lambda photo: photo.name)), warnings


def _names(written: Mapping[Path, str], stored: Mapping[str, Path]) -> dict[Path, str]:
    """Each photo's own name: its file name, or what the captions call it if that is not unique."""
    files = Counter(path.name for path in written)
    return {
        path: name if name in stored or files[path.name] > 1 else path.name
        for path, name in written.items()
    }


def _split(
    read: Captions, written: Mapping[Path, str], names: Mapping[Path, str], seed: int
) -> dict[Path, Split]:
    if read.split is None:
        read.how = f"seeded by photo, seed {seed}"
        by_name = by_hash(names.values(), seed)
        return {path: by_name[name] for path, name in names.items()}
    split = {path: read.split.get(name, "rest") for path, name in written.items()}
    if set(split.values()) == {"rest"}:
        raise CaptionerError(
            f"the split lists next to {read.file} name none of its photos.",
            "Take lists and captions from the same data set, or remove the lists.",
        )
    return split


class PhotoFinder:
    """Finds photos by the names that captions give them; lists each folder once.

    Parameters
    ----------
    folders
        Where names are looked for, in this order.
    paths
        Photos that are elsewhere, by name.
    """

    def __init__(self, folders: Sequence[Path], paths: Mapping[str, Path] | None = None) -> None:
        self._folders, self._paths = folders, paths or {}
        self._listed: dict[str, frozenset[str]] = {}

    def find(self, name: str) -> Path | None:
        """The photo's file; None if there is none of this name."""
        if name in self._paths:
            return self._paths[name]
        for folder in self._folders:
            for spelled in (name, without_number(name), f"{name}.jpg"):
                path = folder / spelled
                if path.name in self._names(path.parent):
                    return path
        return None

    def _names(self, folder: Path) -> frozenset[str]:
        key = str(folder)
        if key not in self._listed:
            try:
                with os.scandir(folder) as entries:
                    self._listed[key] = frozenset(one.name for one in entries if not one.is_dir())
            except (OSError, ValueError):
                self._listed[key] = frozenset()
        return self._listed[key]


def some(things: Sequence[str], noun: str) -> str:
    """A number of things with the first three: "9 photos (0.jpg, 1.jpg, 2.jpg, …)"."""
    examples = ", ".join(things[:3])
    more = ", …" if len(things) > 3 else ""
    return f"{len(things)} {noun}{'s' if len(things) > 1 else ''} ({examples}{more})"


def _some_photos(number: int) -> str:
    return f"{number:,} photo{'s' if number > 1 else ''}"
