"""What training reads besides photos with captions: sentences, samples of classes, objects."""

from __future__ import annotations

import json
import re
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.model.vocabulary import words
from captioner.photos.formats import may_be_photo
from captioner.training.corpora.corpus import Example
from captioner.training.corpora.lines import read_lines

_CLASS = re.compile(r"n\d{8}")


def read_sentences(file: Path) -> tuple[str, ...]:
    """Read captions without photos, one per line; lines without a word are skipped.

    Raises
    ------
    CaptionerError
        If there is no such file, it is not UTF-8, or it contains none.
    """
    try:
        found = tuple(line for line in read_lines(file) if words(line))
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
