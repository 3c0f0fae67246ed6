"""Parts: descriptions and failures in Parquet files, made anywhere and merged into an index later.

A part holds all that a model generates for some photos, with features and search vectors, and what
was read from their files. So an index can be filled without opening the photos again. Its metadata
names the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from captioner.errors import CaptionerError
from captioner.types import (
    BundleIds,
    Caption,
    Description,
    Facts,
    Failure,
    HalfArray,
    Keyword,
    Photo,
    SearchVectors,
    Sidecar,
)

SUFFIX = ".parquet"
_KEY = b"captioner.part"
"""Of a file's metadata: JSON with the version and the ids of the bundle."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Part:
    """The content of a part."""

    results: list[Description | Failure]
    bundle: BundleIds


def write(
    target: BinaryIO | Path, results: Iterable[Description | Failure], bundle: BundleIds
) -> None:
    """Write a part.

    Parameters
    ----------
    results
        By one model. Failures without a photo are left out.

    Raises
    ------
    CaptionerError
        If pyarrow is not installed.
    OSError
        If the file cannot be written.
    """
    parquet = _pyarrow("parquet")
    rows = [_row(result) for result in results if result.photo is not None]
    table = _pyarrow().Table.from_pylist(rows, _schema(bundle))
    parquet.write_table(table, target, compression="zstd")


def read(source: BinaryIO | Path, name: str) -> Part:
    """Read a part; `name` is what an error calls it.

    Raises
    ------
    CaptionerError
        If it is not a part, is damaged, or was written by a newer version; or if pyarrow is not
        installed.
    """
    parquet, pyarrow = _pyarrow("parquet"), _pyarrow()
    try:
        table = parquet.read_table(source)
        entry = (table.schema.metadata or {}).get(_KEY)
        rows = table.to_pylist() if entry else []
    except (OSError, pyarrow.ArrowException) as error:
        raise CaptionerError(f"{name} cannot be read: {error}.", _AGAIN) from None
    if entry is None:
        raise CaptionerError(
            f"{name} holds no descriptions by captioner that could be merged.",
            "An export leaves out what searches need: merge the database instead.",
        )
    known = json.loads(entry)
    if known["version"] > _VERSION:
        raise CaptionerError(
            f"{name} was written by a newer version of captioner.",
            "Upgrade with `pip install --upgrade captioner`.",
        )
    bundle = BundleIds(known["model_id"], known["encoder_id"])
    return Part([_result(row) for row in rows], bundle)


_AGAIN = "Copy it again, or make it again."


def photo_row(photo: Photo) -> dict[str, Any]:
    """A photo as columns of a row."""
    return {
        "path": os.fsencode(photo.path_str),
        "size": photo.size,
        "mtime_ns": photo.mtime_ns,
        "sidecars": json.dumps(photo.sidecars),
    }


def photo_of(row: Mapping[str, Any]) -> Photo:
    """The inverse of `photo_row`; other columns are ignored."""
    sidecars = tuple(Sidecar(*one) for one in json.loads(row["sidecars"]))
    return Photo(os.fsdecode(row["path"]), row["size"], row["mtime_ns"], sidecars)


def _row(result: Description | Failure) -> dict[str, object]:
    photo = result.photo
    assert photo
    row = photo_row(photo)
    if isinstance(result, Failure):
        return row | {"reason": result.reason, "transient": result.transient}
    return row | {
        "width": result.width,
        "height": result.height,
        "format": result.format,
        "content_hash": result.content_hash,
        "captions": [asdict(caption) for caption in result.captions],
        "keywords": [asdict(keyword) for keyword in result.keywords],
        "feature": _blob(result.feature),
        "embedding": _blob(result.vectors.embedding),
        "word_hidden": _blob(result.vectors.word_hidden),
        "facts": json.dumps(asdict(result.facts)),
    }


def _result(row: dict[str, Any]) -> Description | Failure:
    photo = photo_of(row)
    if row["reason"] is not None:
        return Failure(photo.path, row["reason"], photo, bool(row["transient"]))
    facts = json.loads(row["facts"])
    for name in ("keywords", "others"):
        facts[name] = tuple(facts[name])
    return Description(
        photo=photo,
        width=row["width"],
        height=row["height"],
        format=row["format"],
        content_hash=row["content_hash"],
        captions=tuple(Caption(**caption) for caption in row["captions"]),
        keywords=tuple(Keyword(**keyword) for keyword in row["keywords"]),
        feature=_numbers(row["feature"]),
        vectors=SearchVectors(_numbers(row["embedding"]), _numbers(row["word_hidden"])),
        facts=Facts(**facts),
    )


def _blob(numbers: HalfArray) -> bytes:
    return numbers.astype("<f2").tobytes()


def _numbers(blob: bytes) -> HalfArray:
    return np.frombuffer(blob, "<f2").astype(np.float16)


def _schema(bundle: BundleIds) -> Any:
    pa = _pyarrow()
    text, number, real, blob = pa.string(), pa.int64(), pa.float64(), pa.binary()
    captions = pa.struct([("text", text), ("confidence", real), ("log_probability", real)])
    columns: Sequence[tuple[str, Any]] = (
        ("path", blob), ("size", number), ("mtime_ns", number), ("sidecars", text),
        ("reason", text), ("transient", pa.bool_()),
        ("width", number), ("height", number), ("format", text), ("content_hash", blob),
        ("captions", pa.list_(captions)),
        ("keywords", pa.list_(pa.struct([("word", text), ("probability", real)]))),
        ("feature", blob), ("embedding", blob), ("word_hidden", blob), ("facts", text),
    )  # fmt: skip
    entry = {"version": _VERSION, **asdict(bundle)}
    return pa.schema(columns, {_KEY: json.dumps(entry)})


def _pyarrow(module: str = "") -> Any:
    """The package pyarrow, or one of its modules."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise CaptionerError(
            "Parquet needs pyarrow, which is not installed.",
            "Install it with: pip install 'captioner[export]'",
        ) from None
    return parquet if module else pyarrow
