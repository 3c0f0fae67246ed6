"""Tables with a column of photos and one of captions: CSV, TSV, JSON Lines, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.training.corpora import embedded
from captioner.training.corpora.columns import Roles, add_row, row_split, text_of
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.format import Captions, ReadOptions, photo_folders
from captioner.training.corpora.lines import numbered_lines, read_text
from captioner.training.corpora.splits import Splits, split_named

name = "a table"
looks_for = "a CSV, TSV, JSON Lines or Parquet file"

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DELIMITERS = ",;|\t"

Row = tuple[str, Mapping[str, Any]]
"""Where a row is, for messages, and its cells by column."""


def find(place: Path) -> Path | None:
    """A table, or a folder with one, or with one for each split."""
    if place.is_file():
        return place if place.suffix.lower() in (*SUFFIXES, ".json") else None
    return place if _files(place) else None


def read(found: Path, options: ReadOptions) -> Captions:
    """Read one table, or one for each split, with captions in several rows, columns or lists."""
    files = {found: None} if found.is_file() else _files(found)
    base = found.parent if found.is_file() else found
    if any(file.suffix.lower() == ".parquet" for file in files):
        from captioner.training.corpora import parquet

        if photos := parquet.photos(files, options):
            return embedded.extract(found, photos)
    # What Hugging Face calls an image folder has its tables next to the photos of each split.
    folders = photo_folders(base, *dict.fromkeys(file.parent for file in files))
    made = Captions(found, folders, how="column of the table")
    splits = Splits()
    for file, split in files.items():
        names, rows = _rows(file)
        roles = Roles.of(file, names, options.columns)
        below = f"{file.parent.relative_to(base).as_posix()}/" if file.parent != base else ""
        for where, row in rows:
            photo = text_of(row, roles.photo)
            if photo and below and (file.parent / photo).is_file():
                photo = below + photo
            add_row(made, row, roles, photo, where if len(files) == 1 else f"{file.name} {where}")
            splits.add(photo, split or row_split(row, roles))
    if not made.photos:
        raise CaptionerError(
            f"{found} contains no captions.", "Each row needs a photo and at least one caption."
        )
    if split_names := splits.by_photo:
        made.split = split_names
        if any(files.values()):
            made.how = "one file per split"
    return made


def _files(folder: Path) -> dict[Path, Split | None]:
    """The tables of a folder, each with its split, if there are several.

    Raises
    ------
    CaptionerError
        If there are several, and their names are not those of splits.
    """
    here = [*_tables(folder), *_tables(folder / "data")]
    below = [
        file
        for inner in sorted(folder.iterdir())
        if inner.is_dir() and split_named(inner.name)
        for file in _tables(inner)
        if file.stem == "metadata"
    ]
    if len(here) == 1 and not below:
        return {here[0]: None}
    if not here and not below:
        return {}
    by_split = {file: split_named(re.split(r"[-_.]", file.name)[0]) for file in here}
    by_split |= {file: split_named(file.parent.name) for file in below}
    if None in by_split.values():
        named = [file for file in here if file.stem in ("captions", "metadata")]
        if len(named) == 1:
            return {named[0]: None}
        raise CaptionerError(
            f"{folder} contains several tables: {', '.join(file.name for file in by_split)}.",
            f"Name the one to read, such as {here[0]}, or name one table for each split: "
            "train, dev, test.",
        )
    return {file: split for file, split in by_split.items() if split != "rest"}


def _tables(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)


def _rows(file: Path) -> tuple[list[str], Iterator[Row]]:
    match file.suffix.lower():
        case ".parquet":
            from captioner.training.corpora import parquet

            return parquet.rows(file)
        case ".jsonl" | ".ndjson":
            return _json_lines(file)
        case ".json":
            return _json(file)
        case _:
            return _csv(file)


def _csv(file: Path) -> tuple[list[str], Iterator[Row]]:
    text = read_text(file)
    header = text.partition("\n")[0]
    delimiter = "\t" if file.suffix.lower() == ".tsv" else max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]

    def rows() -> Iterator[Row]:
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise CaptionerError(
                    f"{file}, line {number}, cannot be read: {error}.",
                    "Close the quote that was opened there.",
                ) from error
            if cells:
                # A row of another length has no photo: it is counted among those skipped.
                whole = len(cells) == len(names)
                yield f"line {number}", dict(zip(names, cells, strict=True)) if whole else {}

    return names, rows()


def _json_lines(file: Path) -> tuple[list[str], Iterator[Row]]:
    found = [(f"line {number}", _object(line)) for number, line in numbered_lines(file)]
    names = dict.fromkeys(name for _, row in found for name in row)
    return list(names), iter(found)


def _json(file: Path) -> tuple[list[str], Iterator[Row]]:
    from captioner.training.corpora.karpathy import read_json

    content = read_json(file)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise CaptionerError(
            f"{file} is not a list of photos with captions.",
            'It should read [{"photo": "a.jpg", "captions": ["a dog"]}].',
        )
    found: list[Row] = [(f"item {number}", row) for number, row in enumerate(content, 1)]
    names = dict.fromkeys(name for _, row in found for name in row)
    return list(names), iter(found)


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
