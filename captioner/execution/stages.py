"""The stages of the Ray pipeline: tables of photos in, with more columns out.

They run on the workers, which import this module and load the model by themselves.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from captioner import parts
from captioner.errors import CaptionerError
from captioner.execution.decoding import decode
from captioner.execution.staging import Staging
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Facts,
    Failure,
    Features,
    FloatArray,
    HalfArray,
)

_CHUNK = 64
"""Photos that are described at once."""
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class Load:
    """Loads a describer on a worker, and checks that it is the driver's."""

    def __init__(self, load: Callable[[], Describer], model_id: str) -> None:
        self._load = load
        self._model_id = model_id

    def __call__(self) -> Describer:
        """The describer, without an engine until it encodes."""
        describer = self._load()
        if describer.model_id != self._model_id:
            raise CaptionerError(
                f"a machine of the cluster has the model {describer.model_id} instead of "
                f"{self._model_id}.",
                "Install the same version of captioner, or the same bundle, on all machines.",
            )
        return describer


class Decode:
    """A task that decodes the photos of a block."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, table: Any) -> Any:
        """Photos → photos with pixels and facts, or the reason why they cannot be read."""
        rows = [self._decode(row) for row in table.to_pylist()]
        return _table(rows, _DECODED)

    def _decode(self, row: dict[str, Any]) -> dict[str, Any]:
        decoded = decode(parts.photo_of(row), self._size)
        if isinstance(decoded, Failure):
            return row | {"reason": decoded.reason, "transient": decoded.transient}
        return row | {
            "rgb": decoded.rgb.tobytes(),
            "width": decoded.width,
            "height": decoded.height,
            "format": decoded.format,
            "content_hash": decoded.content_hash,
            "facts": json.dumps(asdict(decoded.facts)),
        }


class Encode:
    """An actor with an engine: adds features and drops the pixels."""

    def __init__(self, load: Load) -> None:
        self._describer = load()

    def __call__(self, table: Any) -> Any:
        """Photos with pixels → photos with features."""
        rows = table.to_pylist()
        readable = [row for row in rows if row["rgb"] is not None]
        shape = (self._describer.size, self._describer.size, 3)
        step = self._describer.batch_size
        batches = (
            np.stack(
                [
                    np.frombuffer(row["rgb"], np.uint8).reshape(shape)
                    for row in readable[first : first + step]
                ]
            )
            for first in range(0, len(readable), step)
        )
        encoded = (
            batch[[row]] for batch in self._describer.encode(batches) for row in range(len(batch))
        )
        for row, features in zip(readable, encoded, strict=True):
            row["features"] = _bytes(features.pooled)
            row["grid"] = None if features.grid is None else _bytes(features.grid)
        return _table(rows, _ENCODED)


class Describe:
    """An actor that describes blocks, and writes each as a part."""

    def __init__(self, load: Load, staging: Staging) -> None:
        self._describer = load()
        self._staging = staging

    def __call__(self, table: Any) -> Any:
        """Photos with features → the name of the part that holds their descriptions."""
        rows = table.to_pylist()
        results: list[Description | Failure] = [
            Failure(photo.path, row["reason"], photo, bool(row["transient"]))
            for row in rows
            if row["reason"] is not None and (photo := parts.photo_of(row))
        ]
        readable = [row for row in rows if row["features"] is not None]
        for first in range(0, len(readable), _CHUNK):
            chunk = readable[first : first + _CHUNK]
            grids = [_array(row["grid"]) for row in chunk if row["grid"] is not None]
            features = Features(
                np.concatenate([_array(row["features"]) for row in chunk]),
                np.concatenate(grids) if grids else None,
            )
            results += self._describer.describe([_decoded(row) for row in chunk], features)
        return _table([{"part": self._staging.write(results)}], {"part": "string"})


_PHOTO = {"path": "binary", "size": "int64", "mtime_ns": "int64", "sidecars": "string"}
_ENCODED = _PHOTO | {
    "width": "int64", "height": "int64", "format": "string", "content_hash": "binary",
    "facts": "string", "reason": "string", "transient": "bool_", "features": "large_binary",
    "grid": "large_binary",
}  # fmt: skip
_DECODED = {name: kind for name, kind in _ENCODED.items() if name not in {"features", "grid"}} | {
    "rgb": "large_binary"
}
"""Columns between the stages, by their types in pyarrow."""


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> Any:
    import pyarrow as pa

    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.items()])
    return pa.Table.from_pylist(rows, schema)


def _bytes(array: FloatArray | HalfArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _array(content: bytes) -> FloatArray:
    array: FloatArray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _decoded(row: dict[str, Any]) -> DecodedPhoto:
    facts = json.loads(row["facts"])
    facts |= {name: tuple(facts[name]) for name in ("keywords", "others")}
    return DecodedPhoto(
        photo=parts.photo_of(row),
        rgb=_NO_PIXELS,
        width=row["width"],
        height=row["height"],
        format=row["format"],
        content_hash=row["content_hash"],
        facts=Facts(**facts),
    )
