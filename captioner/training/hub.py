"""Data sets on the Hugging Face hub: where they are, and how their files become a folder of photos.

Each is laid out in a format that `captioner.training.corpora` reads; the file that makes the folder
complete is written last.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from captioner.errors import CaptionerError
from captioner.training.corpora import Split
from captioner.training.corpora.flickr8k import CAPTIONS, LISTS

Report = Callable[[str], None]
"""Is called with the name of each photo that is in its place."""
HUB_SPLITS: Mapping[str, Split] = {"train": "train", "validation": "dev", "test": "test"}
"""The hub's splits; each has one or more files `data/train-00000-of-00002-….parquet`."""
IMAGE = "image"
"""Column: a struct of the photo's bytes and possibly its file name."""
SENTENCES = tuple(f"caption_{number}" for number in range(5))

_PLAIN_NAME = re.compile(r"\w[\w.-]*\.\w+")
_BATCH = 64


@dataclass(frozen=True, slots=True)
class HubCorpus:
    """A data set on the hub."""

    title: str
    size: str
    """What is downloaded, for people."""
    repository: str
    patterns: tuple[str, ...]
    """The files that are needed."""
    complete: str
    """The file that is written last."""
    lay_out: Callable[[Path, Path, Report], None]
    """Writes the data set from the downloaded files: (their folder, the data set's folder,
    report)."""
    elsewhere: str
    """Where else it comes from."""

    def changed(self, what: str) -> CaptionerError:
        """The error for a repository that is no longer what it was."""
        return CaptionerError(
            f"{self.repository} on the Hugging Face hub {what}.",
            f"The data set has changed there: download it from {self.elsewhere}.",
        )


def lay_out_flickr8k(parts: Path, folder: Path, report: Report) -> None:
    """Write Kaggle's layout, `Images/` and `captions.txt`, and the official lists."""
    corpus = CORPORA["flickr8k"]
    images = folder / "Images"
    images.mkdir(exist_ok=True)
    captions: list[tuple[str, str]] = []
    names: dict[Split, dict[str, None]] = {split: {} for split in LISTS}
    for part, split in _parquet_files(corpus, parts):
        for row in _rows(corpus, part, [IMAGE, *SENTENCES]):
            path = row[IMAGE].get("path") or ""
            name = _name(path, split, sum(map(len, names.values())), names)
            names[split][name] = None
            _write_photo(images / name, row[IMAGE]["bytes"])
            captions += [(name, " ".join(row[one].split())) for one in SENTENCES if row[one]]
            report(name)
    for split, listed in names.items():
        with whole(folder / LISTS[split]) as partial:
            partial.write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    with whole(folder / CAPTIONS) as partial, partial.open("w", encoding="utf-8") as file:
        _write_csv(file, captions)


def lay_out_flickr30k(parts: Path, folder: Path, report: Report) -> None:
    """Unpack the photos into `flickr30k-images/`, and copy the table with captions and splits."""
    corpus = CORPORA["flickr30k"]
    images = folder / "flickr30k-images"
    images.mkdir(exist_ok=True)
    archive, table = (parts / name for name in corpus.patterns)
    for file in (archive, table):
        if not file.is_file():
            raise corpus.changed(f"has no {file.name}")
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                name = PurePosixPath(entry.filename).name
                # The archive of a Mac has a hidden file beside each photo.
                if not _PLAIN_NAME.fullmatch(name) or not name.lower().endswith(".jpg"):
                    continue
                photo = images / name
                if not photo.exists() or photo.stat().st_size != entry.file_size:
                    with (
                        whole(photo) as partial,
                        opened.open(entry) as source,
                        partial.open("wb") as to,
                    ):
                        shutil.copyfileobj(source, to)
                report(name)
    except zipfile.BadZipFile as error:
        raise corpus.changed(f"has a damaged {archive.name} ({error})") from error
    with whole(folder / table.name) as partial:
        shutil.copyfile(table, partial)


def lay_out_coco(parts: Path, folder: Path, report: Report) -> None:
    """Write the photos to `images/`, and their captions with Karpathy's split as a table."""
    corpus = CORPORA["coco"]
    images = folder / "images"
    images.mkdir(exist_ok=True)
    rows: dict[str, tuple[Split, list[str]]] = {}
    for part, split in _parquet_files(corpus, parts):
        for row in _rows(corpus, part, [IMAGE, "filename", "caption"]):
            name = PurePosixPath(row["filename"] or "").name
            if not _PLAIN_NAME.fullmatch(name):
                raise corpus.changed(f'names a photo "{row["filename"]}"')
            if name not in rows:  # one row for each caption, all with the photo
                _write_photo(images / name, row[IMAGE]["bytes"])
                rows[name] = (split, [])
                report(name)
            rows[name][1].append(" ".join((row["caption"] or "").split()))
    with whole(folder / corpus.complete) as partial, partial.open("w", encoding="utf-8") as file:
        for name, (split, captions) in rows.items():
            record = {"file_name": name, "split": split, "captions": captions}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


CORPORA: Mapping[str, HubCorpus] = {
    "flickr8k": HubCorpus(
        "Flickr8k", "1.1 GB", "jxie/flickr8k", ("data/*.parquet",), CAPTIONS, lay_out_flickr8k,
        "Kaggle (adityajn105/flickr8k)",
    ),
    "flickr30k": HubCorpus(
        "Flickr30k", "4.4 GB", "nlphuji/flickr30k",
        ("flickr30k-images.zip", "flickr_annotations_30k.csv"), "flickr_annotations_30k.csv",
        lay_out_flickr30k, "Kaggle (hsankesara/flickr-image-dataset)",
    ),
    "coco": HubCorpus(
        "COCO captions", "20 GB", "jxie/coco_captions", ("data/*.parquet",), "captions.jsonl",
        lay_out_coco, "https://cocodataset.org",
    ),
}  # fmt: skip
"""By the name on the command line."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to it once it is complete."""
    partial = path.with_name(f".{path.name}.part")
    yield partial
    partial.replace(path)


def missing(corpus: HubCorpus, error: ModuleNotFoundError) -> CaptionerError:
    """The error for an extra that is not installed."""
    return CaptionerError(
        f"downloading {corpus.title} needs {error.name}, which is not installed.",
        "Run pip install 'captioner[train]'.",
    )


def _parquet_files(corpus: HubCorpus, parts: Path) -> Iterator[tuple[Path, Split]]:
    """The Parquet files, in the order of the splits."""
    found = sorted(parts.glob("data/*.parquet"))
    absent = [name for name in HUB_SPLITS if not any(p.name.startswith(name) for p in found)]
    if absent:
        raise corpus.changed(f"has no parquet files for {', '.join(absent)}")
    for name, split in HUB_SPLITS.items():
        yield from ((part, split) for part in found if part.name.startswith(f"{name}-"))


def _rows(corpus: HubCorpus, part: Path, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file; only a few photos are in memory."""
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise missing(corpus, error) from error
    with ParquetFile(part) as file:
        if absent := sorted({*columns} - set(file.schema_arrow.names)):
            raise corpus.changed(f"has no column {', '.join(absent)} in {part.name}")
        for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns)):
            yield from batch.to_pylist()


def _write_photo(photo: Path, data: bytes) -> None:
    if not photo.exists() or photo.stat().st_size != len(data):
        with whole(photo) as partial:
            partial.write_bytes(data)


def _name(path: str, split: Split, number: int, taken: Mapping[Split, Mapping[str, None]]) -> str:
    """The photo's own file name if it is plain and unique; otherwise a numbered one."""
    name = PurePosixPath(path).name
    if _PLAIN_NAME.fullmatch(name) and not any(name in names for names in taken.values()):
        return name
    return f"{split}_{number:05d}.jpg"


def _write_csv(file: TextIO, captions: list[tuple[str, str]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "caption"])
    writer.writerows(captions)
