"""From what a person names to photos: files as they are, folders searched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from captioner.photos.formats import may_be_photo
from captioner.types import Failure, Photo


def walk(paths: Iterable[Path]) -> Iterator[Photo | Failure]:
    """Find the photos under each path, in the order given.

    A file that is named is taken, whatever it is called. Inside a folder, files whose names may
    be photos' are taken, in order of their names, the subfolders among them; what is hidden (its
    name begins with a dot) is passed over. Links are followed, and no folder is entered twice
    below one path, so that links in a circle end.

    Yields
    ------
    A `Photo`, or a `Failure` where a path does not exist or may not be looked at. No file is
    opened.
    """
    for path in paths:
        yield from _under(path)


def _under(start: Path) -> Iterator[Photo | Failure]:
    entered: set[tuple[int, int]] = set()
    waiting = [start]  # the next one last
    while waiting:
        path = waiting.pop()
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                identity = (found.st_dev, found.st_ino)
                if identity not in entered:
                    entered.add(identity)
                    waiting += reversed(_inside(path))
            elif stat.S_ISREG(found.st_mode):
                yield Photo(path, found.st_size, found.st_mtime_ns)
            else:
                # Opening a pipe or a device could wait for ever.
                yield Failure(path, "it is neither a file nor a folder.")
        except (OSError, ValueError) as error:
            yield Failure(path, explain(error))


def _inside(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and (may_be_photo(entry.name) or _is_folder(entry))
        ]
    return [folder / name for name in sorted(names)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: no folder, and by its name no photo
        return False


def explain(error: OSError | ValueError) -> str:
    """Say in plain words why a path cannot be looked at; completes "cannot read PATH: …"."""
    match error:
        case FileNotFoundError():
            return "there is no such file or folder."
        case PermissionError():
            return "you have no permission to read it."
        case OSError(strerror=str() as words):
            return f"{words[:1].lower()}{words[1:]}."
        case _:  # a zero byte in a path, from a list of paths that is none
            return f"{error}."
