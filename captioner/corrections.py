"""Corrections as a training corpus: photos with the captions that a person wrote or accepted.

The layout is that of Flickr8k on Kaggle, which `captioner train --extra-data` reads: a folder
`Images` and `captions.txt`. Photos are named by their content, so that none has the name of
another, and the same photo is in the same split wherever it is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import CaptionerError, UsageError
from captioner.index import Correction, Index

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

IMAGES, CAPTIONS = "Images", "captions.txt"
_CHUNK = 1 << 20
"""Bytes of a photo that are read at once."""


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """What was exported."""

    photos: int
    captions: int
    absent: tuple[str, ...] = ()
    """Paths of photos that cannot be opened."""
    changed: tuple[str, ...] = ()
    """Paths of photos that have changed since they were indexed: their captions may not fit."""


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Corrections by the names of their photos in the corpus."""

    photos: dict[str, Correction]
    summary: CorpusSummary

    def text(self) -> str:
        """The caption file."""
        lines = [
            f"{name},{_quoted(caption)}"
            for name, correction in self.photos.items()
            for caption in correction.captions
        ]
        return "\n".join(["image,caption", *lines, ""])


def export(index: Index, folder: Path, *, copy: bool = False) -> CorpusSummary:
    """Write the corrections in an index as a corpus; the folder is complete, or is not there.

    Parameters
    ----------
    folder
        Absent or empty: nothing is overwritten.
    copy
        Copy the photos; otherwise the corpus has links to them, where the system allows it.

    Raises
    ------
    UsageError
        If there are no corrections, or the folder holds anything.
    CaptionerError
        If it cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (keeps links)
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder.", "Name another folder.")
    corpus = _collect(index)
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        (temporary / IMAGES).mkdir(parents=True)
        for name, correction in corpus.photos.items():
            _place(correction.photo.path.absolute(), temporary / IMAGES / name, copy=copy)
        (temporary / CAPTIONS).write_text(corpus.text(), "utf-8")
        if folder.exists():
            folder.rmdir()  # Windows does not replace even an empty one.
        temporary.rename(folder)
    except OSError as error:
        raise CaptionerError(
            f"{folder} cannot be written: {error.strerror}.", "Name another folder."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)  # follows no link
    return corpus.summary


def archive(index: Index) -> tuple[CorpusSummary, Iterator[bytes]]:
    """The same corpus with copies of the photos as a ZIP archive, in pieces.

    Raises
    ------
    UsageError
        If there are no corrections.
    """
    corpus = _collect(index)
    return corpus.summary, _zipped(corpus)


def _collect(index: Index) -> _Corpus:
    """The corrections whose photos are there, unchanged; identical photos are one."""
    found: dict[str, Correction] = {}
    absent: list[str] = []
    changed: list[str] = []
    for correction in index.corrections():
        photo = correction.photo
        try:
            status = photo.path.stat()
        except OSError:
            absent.append(photo.path_str)
            continue
        if (status.st_size, status.st_mtime_ns) != (photo.size, photo.mtime_ns):
            changed.append(photo.path_str)
            continue
        name = correction.content_hash.hex() + photo.path.suffix.lower()
        if (known := found.get(name)) is not None:
            captions = tuple(dict.fromkeys((*known.captions, *correction.captions)))
            found[name] = Correction(known.photo, known.content_hash, captions)
        else:
            found[name] = correction
    if not found:
        if absent or changed:
            raise UsageError(
                "none of the photos with captions of yours can be opened as they were indexed.",
                "Connect their drive, or run `captioner index` on their folder.",
            )
        raise UsageError(
            "no photo has a caption of yours.",
            "Write one with `captioner edit`, or review captions with `captioner browse`.",
        )
    number = sum(len(one.captions) for one in found.values())
    return _Corpus(found, CorpusSummary(len(found), number, tuple(absent), tuple(changed)))


def _quoted(caption: str) -> str:
    return '"' + caption.replace('"', '""') + '"'


def _place(photo: Path, target: Path, *, copy: bool) -> None:
    if not copy:
        with suppress(OSError, NotImplementedError):  # Windows allows links to few users.
            target.symlink_to(photo)
            return
    shutil.copyfile(photo, target)


class _Pieces(RawIOBase):
    """A file that only collects what is written to it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: ReadableBuffer) -> int:
        self._written.append(bytes(piece))
        return len(self._written[-1])

    def take(self) -> bytes:
        """What was written since this was last called."""
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def _zipped(corpus: _Corpus) -> Iterator[bytes]:
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as target:  # photos do not compress
        target.writestr(CAPTIONS, corpus.text())
        for name, correction in corpus.photos.items():
            info = zipfile.ZipInfo(f"{IMAGES}/{name}")
            with (
                suppress(OSError),  # deleted meanwhile
                correction.photo.path.open("rb") as source,
                target.open(info, "w", force_zip64=True) as entry,
            ):
                while piece := source.read(_CHUNK):
                    entry.write(piece)
                    yield pieces.take()
    yield pieces.take()
