"""Data sets of the Hugging Face library `datasets`, saved by `save_to_disk`.

Rows are read a few at a time; photos stored in them are never decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner import offline
from captioner.errors import CaptionerError
from captioner.training.corpora import embedded
from captioner.training.corpora.columns import Roles, add_row, row_split, text_of
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.parquet import binary_columns
from captioner.training.corpora.splits import Splits, split_named

name = "Hugging Face datasets"
looks_for = "dataset_dict.json or state.json"


def find(place: Path) -> Path | None:
    """The folder, if it is one that `save_to_disk` wrote."""
    one = (place / "state.json").is_file() and (place / "dataset_info.json").is_file()
    return place if one or (place / "dataset_dict.json").is_file() else None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read all splits; photos that are stored in them go to the cache folder."""
    parts = _load(found)
    files = tuple(sorted(found.rglob("*.arrow")))
    roles = {
        name: Roles.of(
            found / name,
            part.column_names,
            options.columns,
            binary_columns(part.features.arrow_schema),
        )
        for name, part in parts.items()
    }
    rows = (
        (f"{name} row {number}".strip(), split_named(name) or "", roles[name], row)
        for name, part in parts.items()
        for number, row in enumerate(_rows(part, roles[name].all), 1)
    )
    if all(one.image for one in roles.values()):
        return embedded.extract(found, embedded.StoredPhotos(files, rows, options.columns))
    made = Captions(found, photo_folders(found, found.parent), how="splits of the data set")
    splits = Splits()
    for where, split, role, row in rows:
        photo = text_of(row, role.photo)
        add_row(made, row, role, photo, where)
        splits.add(photo, split or row_split(row, role))
    if not made.photos:
        raise CaptionerError(
            f"{found} contains no captions.", "Each row needs a photo and at least one caption."
        )
    made.split = splits.by_photo or None
    return made


def _load(found: Path) -> dict[str, Any]:
    offline.prepare()
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise CaptionerError(
            f"reading {found} needs the package datasets, which is not installed.",
            "Run pip install 'captioner[datasets]'.",
        ) from error
    try:
        loaded = datasets.load_from_disk(str(found))
    # What the library raises for damaged files is not documented.
    except Exception as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise CaptionerError(
            f"{found} cannot be read: {reason}.", "Save it again with save_to_disk."
        ) from error
    return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}


def _rows(part: Any, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    plain = part.select_columns(columns).with_format("arrow")
    for table in plain.iter(batch_size=embedded.BATCH):
        yield from table.to_pylist()
