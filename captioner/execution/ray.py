"""The executor for many machines: Ray Data decodes, encodes and describes, and stages the results.

`decode (tasks on CPUs) → encode (actors, one per GPU) → describe (actors on CPUs) → part`

Each block of photos ends as one Parquet part in the staging folder, under a name that is only given
to a complete file. The driver reads the parts as they are finished, and yields their content. Parts
of an earlier run that was killed are taken up before anything is computed. So whatever is killed, a
worker, a machine or the driver, the same run again goes on: blocks that were not finished are
described again, and no photo is stored twice.

Ray starts on this machine unless `RAY_ADDRESS` names a cluster. Its workers need captioner, the
same bundle at the same path, and the paths of the photos.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from captioner import parts
from captioner.app_paths import usable_cache
from captioner.errors import UsageError
from captioner.execution import cluster
from captioner.execution.stages import Decode, Describe, Encode, Load
from captioner.execution.staging import Key, Staging, about, key
from captioner.execution.threads import Progress
from captioner.photos.remote import file_system
from captioner.system.cores import cores
from captioner.types import Describer, Description, Failure, Photo, PortableDescriber

BLOCK = 512
"""Photos per part, at most: their pixels have to fit into Ray's blocks of 128 MB."""


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
    ray = cluster.load()
    started = not ray.is_initialized()
    try:
        if started:
            cluster.start(ray, cores())
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
        raise cluster.explained(error) from error
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
    load = Load(describer.loader(), describer.model_id)
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
            Decode(size), batch_size=None, batch_format="pyarrow", num_cpus=1 if cpus > 1 else 0.5
        )
        .map_batches(
            Encode,
            fn_constructor_args=(load,),
            batch_size=None,
            batch_format="pyarrow",
            compute=actors(gpus or machines),
            **engine,
        )
        .map_batches(
            Describe,
            fn_constructor_args=(load, staging),
            batch_size=None,
            batch_format="pyarrow",
            compute=actors(describing),
            num_cpus=1 if cpus >= 4 else 0,
        )
    )


def _reported(
    results: Iterable[Description | Failure], progress: Progress | None
) -> Iterator[Description | Failure]:
    for result in results:
        if progress:
            progress(result)
        yield result
