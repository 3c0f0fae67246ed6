"""Karpathy's JSON files of Flickr8k, Flickr30k and COCO, with the splits that papers report on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.lines import read_text
from captioner.training.corpora.splits import split_named

name = "Karpathy's splits"
looks_for = "dataset_flickr8k.json, dataset_flickr30k.json or dataset_coco.json"

FILES = ("dataset_flickr8k.json", "dataset_flickr30k.json", "dataset_coco.json")


def find(place: Path) -> Path | None:
    """The one of Karpathy's files that is in a folder."""
    if place.is_file():
        named = place.suffix == ".json" and place.name.startswith("dataset_")
        return place if named else None
    there = [place / file for file in FILES if (place / file).is_file()]
    if len(there) > 1:
        raise CaptionerError(
            f"{place} contains {' and '.join(file.name for file in there)}.",
            f"Name the one to read: {there[0]}.",
        )
    return there[0] if there else None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read `images`, each with `filename`, `sentences` and `split`."""
    content = read_json(found)
    made = Captions(found, photo_folders(found.parent, found.parent.parent), how="Karpathy's split")
    split: dict[str, Split] = {}
    try:
        for image in content["images"]:
            photo = "/".join(filter(None, (image.get("filepath"), image["filename"])))
            which = split_named(image["split"])
            if which is None:
                raise CaptionerError(
                    f'{found}: the split of {photo} is "{image["split"]}".',
                    "It should be train, restval, val or test.",
                )
            split[photo] = which
            for sentence in image["sentences"]:
                if not made.add(photo, sentence["raw"]):
                    made.skipped.append(f"{photo}: {sentence['raw']}")
    except (KeyError, TypeError, AttributeError) as error:
        raise not_as_expected(
            found, '{"images": [{"filename": …, "split": …, "sentences": [{"raw": …}]}]}'
        ) from error
    made.split = split
    return made


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises
    ------
    CaptionerError
        If it is not JSON in UTF-8: the line, and why.
    """
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise CaptionerError(
            f"{file}, line {error.lineno}, is not JSON: {error.msg}.",
            "Download the file again: it may be cut off.",
        ) from error
    except RecursionError as error:
        raise CaptionerError(f"{file} is nested too deeply.", "Name another file.") from error


def not_as_expected(file: Path, form: str) -> CaptionerError:
    """The error for JSON of another form."""
    return CaptionerError(
        f"{file} is not what its name says.", f"It should read {form}. Download it again."
    )
