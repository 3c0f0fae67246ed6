"""The executor for many machines: Ray Data decodes, encodes and describes, and stages the results.

`decode (tasks on CPUs) → encode (actors, one per GPU) → describe (actors on CPUs) → part`

Each block of photos ends as one Parquet part in the staging folder, under a name that is only given
to a complete file. The driver reads the parts as they are finished, and yields their content. Parts
of an earlier run that was killed are taken up before anything is computed. So whatever is killed, a
worker, a machine or the driver, the same run again goes on, and no photo is described twice.

Ray starts on this machine unless `RAY_ADDRESS` names a cluster. Its workers need captioner, the
same bundle at the same path, and the paths of the photos.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from captioner import parts
from captioner.app_paths import usable_cache
from captioner.errors import CaptionerError, UsageError
from captioner.execution.decoding import decode
from captioner.execution.staging import Key, Staging, about, key
from captioner.execution.threads import Progress
from captioner.photos.remote import file_system
from captioner.system.cores import cores
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Facts,
    Failure,
    Photo,
    PortableDescriber,
)

BLOCK = 512
"""Photos per part, at most: their pixels have to fit into Ray's blocks of 128 MB."""
_CHUNK = 64
"""Photos that are described at once."""
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


class RayExecutor:
    """Describes photos on a Ray cluster; not in order.

    Parameters
    ----------
    staging
        Folder or URI where parts are kept until `stored` is called. All machines need access to it.
        None: a folder in the cache.
    """

    ordered = False

    def __init__(self, staging: str | None = None) -> None:
        self._folder = staging
        self._yielded: list[str] = []
        """Files of the parts whose results were yielded and may not be stored yet."""

    def describe(
        self,
        photos: Iterable[Photo | Failure],
        describer: Describer,
        *,
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> Generator[Description | Failure, None, None]:
        """Describe photos; see `captioner.execution.Executor`.

        Takes all photos first. Closing the generator ends the run; finished parts stay.

        Parameters
        ----------
        workers
            Processes that describe; None: a quarter of the cluster's cores.

        Raises
        ------
        CaptionerError
            If Ray is not installed, cannot be reached or gives up.
        """
        if not isinstance(describer, PortableDescriber):
            raise UsageError("this model cannot be loaded on other machines.", "Use threads.")
        todo: dict[Key, Photo] = {}
        for photo in photos:
            if isinstance(photo, Failure):
                yield from _reported([photo], progress)
            else:
                todo[key(photo)] = photo
        staging = Staging(self._staging, describer)
        for name in staging.finished():
            yield from _reported(self._take_up(staging, name, todo, old=True), progress)
        if todo:
            sent = [
                Photo(path, size, mtime_ns, photo.sidecars)
                for (path, size, mtime_ns), photo in todo.items()
            ]
            for name in _finished_parts(sent, describer, staging, workers):
                yield from _reported(self._take_up(staging, name, todo), progress)
        lost = "no machine of the cluster has described it. It will be tried again."
        left = (Failure(photo.path, lost, photo, transient=True) for photo in todo.values())
        yield from _reported(left, progress)

    @property
    def _staging(self) -> str:
        if self._folder is None:
            self._folder = os.fspath(usable_cache("parts") or Path(tempfile.gettempdir()))
        return self._folder

    def stored(self) -> None:
        """Delete the parts whose results were all yielded: they are stored elsewhere now."""
        system, _ = file_system(self._staging)
        for file in self._yielded:
            system.rm_file(file)
        self._yielded.clear()

    def _take_up(
        self, staging: Staging, name: str, todo: dict[Key, Photo], *, old: bool = False
    ) -> Iterator[Description | Failure]:
        """The results in a part that are still to be done.

        Of an old one, transient failures are left out, so that the photos are tried again. One
        without any photo to be done stays: it may be of another folder.
        """
        taken = 0
        for result in staging.read(name):
            if old and isinstance(result, Failure) and result.transient:
                continue
            photo = todo.pop(key(result.photo), None) if result.photo else None
            if photo:
                taken += 1
                yield about(result, photo)
        if taken:
            self._yielded.append(staging.file(name))


EXECUTOR = RayExecutor()


def _finished_parts(
    photos: list[Photo], describer: PortableDescriber, staging: Staging, workers: int | None
) -> Iterator[str]:
    """The names of the parts of all photos, each once it is finished."""
    ray = _ray()
    started = not ray.is_initialized()
    try:
        if started:
            start(ray, cores())
        resources = ray.cluster_resources()
        alive = [node for node in ray.nodes() if node["Alive"]]
        if len(alive) > 1 and "://" not in staging.file("") and not os.environ.get(SHARED):
            raise UsageError(
                f"the staging folder {staging.file('')} is on this machine, and the cluster has "
                f"{len(alive)}.",
                f"Name one that all of them reach: --staging s3://bucket/folder; or set {SHARED}=1 "
                "if this folder is shared.",
            )
        dataset = _dataset(ray.data, photos, describer, staging, resources, len(alive), workers)
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from batch.column("part").to_pylist()
    except Exception as error:
        raise _explained(error) from error
    finally:
        if started:
            ray.shutdown()


SHARED = "CAPTIONER_STAGING_SHARED"
"""Environment variable that says that a local path leads all machines to the same folder."""


def _dataset(
    data: Any,
    photos: list[Photo],
    describer: PortableDescriber,
    staging: Staging,
    resources: dict[str, float],
    machines: int,
    workers: int | None,
) -> Any:
    """The pipeline: from rows of photos to rows of parts."""
    cpus, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    blocks = max(-(-len(photos) // BLOCK), min(2 * cpus, len(photos)))
    load = _Load(describer.loader(), describer.model_id)
    size = describer.size

    def actors(number: int) -> Any:
        return data.ActorPoolStrategy(size=max(1, number))

    # The engine of a CPU takes all cores of its machine, and each machine has one: so it reserves
    # none, or nothing would be left for decoding.
    engine = {"num_gpus": 1} if gpus else {"num_cpus": 0}
    describing = max(1, cpus // 4) if workers is None else workers
    return (
        data.from_items([parts.photo_row(photo) for photo in photos], override_num_blocks=blocks)
        .map_batches(
            _Decode(size), batch_size=None, batch_format="pyarrow", num_cpus=1 if cpus > 1 else 0.5
        )
        .map_batches(
            _Encode,
            fn_constructor_args=(load,),
            batch_size=None,
            batch_format="pyarrow",
            compute=actors(gpus or machines),
            **engine,
        )
        .map_batches(
            _Describe,
            fn_constructor_args=(load, staging),
            batch_size=None,
            batch_format="pyarrow",
            compute=actors(describing),
            num_cpus=1 if cpus >= 4 else 0,
        )
    )


class _Load:
    """Loads a describer on a worker, and checks that it is the driver's."""

    def __init__(self, load: Callable[[], Describer], model_id: str) -> None:
        self._load = load
        self._model_id = model_id

    def __call__(self) -> Describer:
        describer = self._load()
        if describer.model_id != self._model_id:
            raise CaptionerError(
                f"a machine of the cluster has the model {describer.model_id} instead of "
                f"{self._model_id}.",
                "Install the same version of captioner, or the same bundle, on all machines.",
            )
        return describer


class _Decode:
    """A task that decodes the photos of a block."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, table: Any) -> Any:
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


class _Encode:
    """An actor with an engine: adds features and drops the pixels."""

    def __init__(self, load: _Load) -> None:
        self._describer = load()

    def __call__(self, table: Any) -> Any:
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
        vectors = (one for batch in self._describer.encode(batches) for one in batch)
        for row, vector in zip(readable, vectors, strict=True):
            row["features"] = vector.astype("<f4").tobytes()
        return _table(rows, _ENCODED)


class _Describe:
    """An actor that describes blocks, and writes each as a part."""

    def __init__(self, load: _Load, staging: Staging) -> None:
        self._describer = load()
        self._staging = staging

    def __call__(self, table: Any) -> dict[str, Any]:
        rows = table.to_pylist()
        results: list[Description | Failure] = [
            Failure(photo.path, row["reason"], photo, bool(row["transient"]))
            for row in rows
            if row["reason"] is not None and (photo := parts.photo_of(row))
        ]
        readable = [row for row in rows if row["features"] is not None]
        for first in range(0, len(readable), _CHUNK):
            chunk = readable[first : first + _CHUNK]
            features = np.stack([np.frombuffer(row["features"], "<f4") for row in chunk])
            results += self._describer.describe([_decoded(row) for row in chunk], features)
        return _table([{"part": self._staging.write(results)}], {"part": "string"})


_PHOTO = {"path": "binary", "size": "int64", "mtime_ns": "int64", "sidecars": "string"}
_ENCODED = _PHOTO | {
    "width": "int64", "height": "int64", "format": "string", "content_hash": "binary",
    "facts": "string", "reason": "string", "transient": "bool_", "features": "large_binary",
}  # fmt: skip
_DECODED = {name: kind for name, kind in _ENCODED.items() if name != "features"} | {
    "rgb": "large_binary"
}
"""Columns between the stages, by their types in pyarrow."""


def _table(rows: list[dict[str, Any]], columns: dict[str, str]) -> Any:
    import pyarrow as pa

    schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in columns.items()])
    return pa.Table.from_pylist(rows, schema)


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


def _reported(
    results: Iterable[Description | Failure], progress: Progress | None
) -> Iterator[Description | Failure]:
    for result in results:
        if progress:
            progress(result)
        yield result


def _ray() -> Any:
    # Ray's own notes are about its insides; its errors are raised.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise CaptionerError(
            f"--executor ray needs a package that is not installed: {error}.",
            "Install it with: pip install 'captioner[ray]'",
        ) from None
    return ray


def start(ray: Any, cpus: int) -> None:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine alone."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        # Only this machine can connect to it.
        options = {"num_cpus": cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(**options, **quiet)
        except Exception:  # it gives itself 30 seconds, which a busy machine may exceed once
            ray.shutdown()
            ray.init(**options, **quiet)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _explained(error: BaseException) -> Exception:
    """The error of ours behind one of Ray's, or one that says what Ray said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CaptionerError):
            return type(cause)(cause.reason, cause.remedy)
        cause = getattr(cause, "cause", None) or cause.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    what = lines[-1] if lines else type(error).__name__
    return CaptionerError(
        f"Ray gave up: {what.rstrip('.')}.",
        "Run the same command again: finished parts are kept.",
    )
