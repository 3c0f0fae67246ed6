"""COCO captions: `captions_train2017.json` and `captions_val2017.json`, photos in `train2017/` …"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.karpathy import not_as_expected, read_json
from captioner.training.corpora.splits import in_hash_order

name = "COCO captions"
looks_for = "captions_train2017.json, in annotations/ or beside it"

HELD_OUT = 5000
"""Photos of val in dev and in test at most, as in Karpathy's split; the others are trained on."""
_NAME = re.compile(r"captions_(?P<part>train|val)(?P<year>\d{4})\.json")


def find(place: Path) -> Path | None:
    """The caption file of the training photos, otherwise of the others, of the one year there."""
    if place.is_file():
        return place if _NAME.fullmatch(place.name) else None
    by_year: dict[str, list[Path]] = defaultdict(list)
    for folder in (place, place / "annotations"):
        for file in sorted(folder.glob("captions_*.json")):
            if match := _NAME.fullmatch(file.name):
                by_year[match["year"]].append(file)
    if len(by_year) > 1:
        raise CaptionerError(
            f"{place} contains the captions of COCO {' and '.join(sorted(by_year))}, "
            "which are of the same photos.",
            f"Name one folder for each year, or one file: {next(iter(by_year.values()))[0]}.",
        )
    return next(iter(by_year.values()))[0] if by_year else None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read a caption file, and that of COCO's other part if it is next to it.

    COCO's val is halved into dev and test by a hash of the photo's name, since the captions of its
    test photos are not published.
    """
    match = _NAME.fullmatch(found.name)
    year = match["year"] if match else ""
    base = found.parent.parent if found.parent.name == "annotations" else found.parent
    files = {part: found.with_name(f"captions_{part}{year}.json") for part in ("train", "val")}
    files = {part: file for part, file in files.items() if file.is_file()} or {"train": found}
    made = Captions(found, photo_folders(base, found.parent))
    names: dict[str, list[str]] = {
        part: _read(file, f"{part}{year}", made) for part, file in files.items()
    }
    if len(files) == 2:
        made.split, made.how = _halved(names["train"], names["val"], options.seed)
    return made


def _read(file: Path, folder: str, made: Captions) -> list[str]:
    """Add one file's captions; the photos' names, below the folder of the photos if it is there."""
    content = read_json(file)
    places = [base / folder for base in made.folders if (base / folder).is_dir()]
    prefix = f"{folder}/" if places else ""
    try:
        photos = {image["id"]: prefix + image["file_name"] for image in content["images"]}
        for annotation in content["annotations"]:
            photo = photos.get(annotation["image_id"], "")
            if not made.add(photo, annotation["caption"]):
                made.skipped.append(f"annotation {annotation.get('id')}: {annotation['caption']}")
    except (KeyError, TypeError, AttributeError) as error:
        raise not_as_expected(
            file,
            '{"images": [{"id": …, "file_name": …}], "annotations": [{"image_id": …, '
            '"caption": …}]}',
        ) from error
    return list(photos.values())


def _halved(train: list[str], val: list[str], seed: int) -> tuple[dict[str, Split], str]:
    split: dict[str, Split] = dict.fromkeys([*train, *val], "train")
    order = in_hash_order(val, seed)
    held = min(HELD_OUT, len(order) // 2)
    split.update(dict.fromkeys(order[:held], "dev"))
    split.update(dict.fromkeys(order[held : 2 * held], "test"))
    return split, f"COCO's train and val, val halved by photo, seed {seed}"
