"""Parquet files with captions, and with photos or their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.training.corpora.columns import Roles
from captioner.training.corpora.corpus import Split
from captioner.training.corpora.embedded import BATCH, StoredPhotos
from captioner.training.corpora.format import ReadOptions


def rows(file: Path) -> tuple[list[str], Iterator[tuple[str, Mapping[str, Any]]]]:
    """The columns of a file, and its rows, each with where it is."""
    with _open(file) as opened:
        names = list(opened.schema_arrow.names)
    return names, _rows(file, names)


def photos(files: Mapping[Path, Split | None], options: ReadOptions) -> StoredPhotos | None:
    """The rows of files that hold photos themselves; None if they hold paths."""
    roles = {}
    for file in files:
        with _open(file) as opened:
            schema = opened.schema_arrow
        roles[file] = Roles.of(file, schema.names, options.columns, binary_columns(schema))
    if not all(one.image for one in roles.values()):
        return None
    every = (
        (f"{file.name} {where}", split or "", roles[file], row)
        for file, split in files.items()
        for where, row in _rows(file, roles[file].all)
    )
    return StoredPhotos(tuple(files), every, options.columns)


def binary_columns(schema: Any) -> set[str]:
    """Columns of an Arrow schema that hold photos: bytes, or bytes with a path."""
    import pyarrow

    def holds(kind: Any) -> bool:
        return bool(
            pyarrow.types.is_binary(kind)
            or pyarrow.types.is_large_binary(kind)
            or (
                pyarrow.types.is_struct(kind)
                and any(kind.field(n).name == "bytes" for n in range(kind.num_fields))
            )
        )

    return {field.name for field in schema if holds(field.type)}


def _rows(file: Path, names: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    number = 0
    with _open(file) as opened:
        for batch in opened.iter_batches(batch_size=BATCH, columns=names):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


def _open(file: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise CaptionerError(
            f"reading {file} needs pyarrow, which is not installed.",
            "Run pip install 'captioner[train]'.",
        ) from error
    try:
        return ParquetFile(file)
    except (ArrowInvalid, OSError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise CaptionerError(
            f"{file} cannot be read: {reason}.", "Download it again: it may be cut off."
        ) from error
