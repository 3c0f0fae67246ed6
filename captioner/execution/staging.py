"""The staging folder: finished parts of one model, kept until they are stored in an index."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path

from captioner import parts
from captioner.photos.remote import file_system
from captioner.system.paths import absolute
from captioner.types import BundleIds, Description, Failure, Photo, PortableDescriber

Key = tuple[str, int, int]
"""Absolute path, size and modification time: a photo's file as it was described."""


def key(photo: Photo) -> Key:
    """What identifies a photo's file, from whatever folder it is named."""
    return absolute(photo.path_str), photo.size, photo.mtime_ns


def about(result: Description | Failure, photo: Photo) -> Description | Failure:
    """A result with the photo as it was named here; workers know it by its absolute path."""
    if isinstance(result, Failure):
        return replace(result, path=photo.path, photo=photo)
    return replace(result, photo=photo)


def default_staging(database: Path) -> str:
    """The staging folder of an index: next to its database."""
    return os.fspath(database.absolute().with_name(database.name + ".parts"))


class Staging:
    """A folder of the parts of one model with one set of options, by any fsspec file system."""

    def __init__(self, folder: str, describer: PortableDescriber) -> None:
        self.bundle = BundleIds(describer.model_id, describer.encoder_id)
        settings = hashlib.sha256(describer.settings.encode()).hexdigest()[:8]
        self._root = absolute(folder)
        self._name = f"{describer.model_id}-{settings}"

    def file(self, name: str) -> str:
        """The path of a part in its file system."""
        _, root = file_system(self._root)
        return f"{root.rstrip('/')}/{self._name}/{name}"

    def finished(self) -> list[str]:
        """The names of the parts that an earlier run has finished."""
        system, _ = file_system(self._root)
        folder = self.file("").rstrip("/")
        if not system.exists(folder):
            return []
        names = (str(path).rpartition("/")[2] for path in system.ls(folder, detail=False))
        return sorted(name for name in names if name.endswith(parts.SUFFIX))

    def read(self, name: str) -> list[Description | Failure]:
        """The results in a part."""
        system, _ = file_system(self._root)
        content = system.cat_file(self.file(name))
        return parts.read(io.BytesIO(content), name).results

    def write(self, results: list[Description | Failure]) -> str:
        """Write a part; its name, which depends on its photos alone."""
        system, _ = file_system(self._root)
        keys = [key(result.photo) for result in results if result.photo]
        name = f"part-{hashlib.sha256(repr(keys).encode()).hexdigest()[:24]}{parts.SUFFIX}"
        content = io.BytesIO()
        parts.write(content, results, self.bundle)
        system.makedirs(self.file("").rstrip("/"), exist_ok=True)
        # Under another name first: in a bucket an object is complete anyway, elsewhere a file is
        # complete once it has been renamed.
        temporary = self.file(f".{name}.{os.getpid()}")
        system.pipe_file(temporary, content.getvalue())
        system.mv(temporary, self.file(name))
        return name
