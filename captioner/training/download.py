"""Download of Flickr8k from the Hugging Face hub, into Kaggle's layout with the official lists."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TextIO

from captioner import offline
from captioner.errors import CaptionerError, UsageError
from captioner.model import destination
from captioner.training.corpora import CAPTIONS, LISTS, Split

REPOSITORY = "jxie/flickr8k"
HUB_SPLITS: dict[str, Split] = {"train": "train", "validation": "dev", "test": "test"}
"""The repository's splits; each has one or more files `data/train-00000-of-00002-….parquet`."""
IMAGE = "image"
"""Column: a struct of the photo's bytes and possibly its file name."""
PARTS = ".download"
"""Folder for downloaded files, until the photos are written."""
_MARK, _MARKED = "captioner.txt", f"captioner keeps {REPOSITORY} here while it comes.\n".encode()
"""Marks the folder as one that may be removed."""
SENTENCES = tuple(f"caption_{number}" for number in range(5))

_PLAIN_NAME = re.compile(r"\w[\w.-]*\.\w+")


def download(folder: Path, *, progress: Callable[[str], None] | None = None) -> Path:
    """Download `jxie/flickr8k` into `folder`: `Images/`, `captions.txt` and the split lists.

    This downloads about 1.1 GB, and needs as much disk space again until it is done. If it is
    interrupted, downloaded files are kept and the next call continues; `captions.txt` is written
    last, so a folder that has one is complete and is not downloaded again.

    Parameters
    ----------
    progress
        Called with the name of each photo that is in its place.

    Raises
    ------
    UsageError
        If the folder has other contents, or cannot be written.
    CaptionerError
        If the hub cannot be reached, its files are not as expected, or an extra is missing.
    """
    parts = folder / PARTS
    check(folder)
    if (folder / CAPTIONS).exists():
        _remove_parts(parts)
        return folder
    try:
        return _download(folder, parts, progress)
    except OSError as error:
        raise CaptionerError(
            f"the data set cannot be stored in {folder}: {error.strerror or error}.",
            "Free some space and run the command again: downloaded files are kept.",
        ) from error


def check(folder: Path) -> None:
    """Check that a data set can be downloaded into a folder, or is there already.

    Raises
    ------
    UsageError
        If the folder has other contents, or cannot be written.
    """
    another = "Name a new folder with --download."
    try:
        real = folder.resolve()
        if destination.exists(real) and not real.is_dir():
            raise UsageError(f"{folder} is not a folder.", another)
        if (real / CAPTIONS).exists():
            return
        if real.is_dir() and any(real.iterdir()) and not _is_ours(real / PARTS):
            raise UsageError(f"{folder} is not empty.", another)
        destination.check_writable(destination.nearest(real))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder} cannot be used: {reason}.", another) from None


def _is_ours(parts: Path) -> bool:
    file = parts / _MARK
    return not parts.is_symlink() and file.is_file() and file.read_bytes() == _MARKED


def _remove_parts(parts: Path) -> None:
    if _is_ours(parts):
        shutil.rmtree(parts, ignore_errors=True)


def _download(folder: Path, parts: Path, progress: Callable[[str], None] | None) -> Path:
    fetched = _fetch(parts)
    images = folder / "Images"
    images.mkdir(exist_ok=True)
    captions: list[tuple[str, str]] = []
    names: dict[Split, dict[str, None]] = {split: {} for split in LISTS}
    for part in fetched:
        split = HUB_SPLITS[part.name.partition("-")[0]]
        for data, path, sentences in _rows(part):
            name = _name(path, split, sum(map(len, names.values())), names)
            names[split][name] = None
            photo = images / name
            if not photo.exists() or photo.stat().st_size != len(data):
                with _whole(photo) as partial:
                    partial.write_bytes(data)
            captions.extend((name, sentence) for sentence in sentences)
            if progress:
                progress(name)
    for split, listed in names.items():
        with _whole(folder / LISTS[split]) as partial:
            partial.write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    with _whole(folder / CAPTIONS) as partial, partial.open("w", encoding="utf-8") as file:
        _write_csv(file, captions)
    _remove_parts(parts)
    return folder


def _fetch(parts: Path) -> list[Path]:
    """The parquet files, in the order of the splits; asks the hub only for what is missing."""
    offline.allow_downloads()
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    parts.mkdir(parents=True, exist_ok=True)
    (parts / _MARK).write_bytes(_MARKED)
    try:
        snapshot_download(
            REPOSITORY, repo_type="dataset", allow_patterns=["data/*.parquet"], local_dir=parts
        )
    # The hub's client lets through the errors of whichever HTTP library it is built on.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CaptionerError(
            f"cannot download {REPOSITORY} from the Hugging Face hub: {reason.rstrip('.')}.",
            "Check the network and run the command again: downloaded files are kept.",
        ) from error
    found = sorted(parts.glob("data/*.parquet"))
    missing = [name for name in HUB_SPLITS if not any(p.name.startswith(name) for p in found)]
    if missing:
        raise CaptionerError(
            f"{REPOSITORY} on the Hugging Face hub has no parquet files for {', '.join(missing)}.",
            "The data set has changed there: download it from Kaggle (adityajn105/flickr8k).",
        )
    return [part for name in HUB_SPLITS for part in found if part.name.startswith(f"{name}-")]


def _rows(part: Path) -> Iterator[tuple[bytes, str, list[str]]]:
    """Photo, its name or "", and its captions, row by row; only a few photos are in memory."""
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    with ParquetFile(part) as file:
        absent = {IMAGE, *SENTENCES} - set(file.schema_arrow.names)
        if absent:
            raise CaptionerError(
                f"{part.name} of {REPOSITORY} has no column {', '.join(sorted(absent))}.",
                "The data set has changed there: download it from Kaggle (adityajn105/flickr8k).",
            )
        for batch in file.iter_batches(batch_size=64, columns=[IMAGE, *SENTENCES]):
            for row in batch.to_pylist():
                sentences = [" ".join(row[column].split()) for column in SENTENCES if row[column]]
                yield row[IMAGE]["bytes"], row[IMAGE].get("path") or "", sentences


def _name(path: str, split: Split, number: int, taken: dict[Split, dict[str, None]]) -> str:
    """The photo's own file name if it is plain and unique; otherwise a numbered one."""
    name = PurePosixPath(path).name
    if _PLAIN_NAME.fullmatch(name) and not any(name in names for names in taken.values()):
        return name
    return f"{split}_{number:05d}.jpg"


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to it once it is complete."""
    partial = path.with_name(f".{path.name}.part")
    yield partial
    partial.replace(path)


def _write_csv(file: TextIO, captions: list[tuple[str, str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "caption"])
    writer.writerows(captions)


def _missing(error: ModuleNotFoundError) -> CaptionerError:
    return CaptionerError(
        f"downloading Flickr8k needs {error.name}, which is not installed.",
        "Run pip install 'captioner[train]'.",
    )
