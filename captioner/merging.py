"""Merging: indexes and parts from anywhere, such as a laptop and a NAS, into one index."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from captioner import parts
from captioner.errors import CaptionerError, UsageError
from captioner.index import Index, MergeSummary

_SQLITE = b"SQLite format 3\0"


def merge(
    index: Index,
    sources: Sequence[Path],
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Path], None] = lambda source: None,
) -> MergeSummary:
    """Merge indexes and parts into an index.

    Photos are the same if their paths and contents are, and what people wrote about one is then
    kept from all sides. Two contents at one path are two pictures, and the newer one is kept;
    the older one if a person captioned it in the index and not in the source. Captions that are
    not taken over are in `MergeSummary.others`. Merging the same again changes nothing.

    Parameters
    ----------
    index
        Open for writing.
    sources
        Databases, Parquet parts, and folders of parts.
    stop
        Called before each source; True ends the merge.
    progress
        Called with each source, once it is merged.

    Raises
    ------
    UsageError
        If there is nothing at a path, or it is the index itself.
    CaptionerError
        If one cannot be read, or was described by another model than the index or the first source.
        Nothing is merged then.
    """
    files = list(_files(index, sources))
    _check_models(index, files)
    summary = MergeSummary()
    for file in files:
        if stop():
            break
        if _is_index(file):
            index.merge(file, summary)
        else:
            part = parts.read(file, str(file))
            index.merge_results(part.results, part.bundle, summary)
        progress(file)
    return summary


def _files(index: Index, sources: Iterable[Path]) -> Iterable[Path]:
    for source in sources:
        if not source.exists():
            raise UsageError(f"there is nothing at {source}.", "Name a database or a Parquet part.")
        if os.path.samefile(source, index.path):  # noqa: PTH121 (follows links)
            raise UsageError(f"{source} is the index to merge into.", "Name others to merge.")
        if not source.is_dir():
            yield source
            continue
        found = sorted(source.rglob(f"*{parts.SUFFIX}"))
        if not found:
            raise UsageError(
                f"{source} is a folder without parts (*{parts.SUFFIX}).", "Name the database in it."
            )
        yield from found


def _check_models(index: Index, files: Iterable[Path]) -> None:
    """Check that one model described all, since a search ranks the photos of one model."""
    known, where = set(index.model_ids()), index.path
    for file in files:
        models = _models(file)
        if not known:
            known, where = models, file
        elif other := models - known:
            raise CaptionerError(
                f"{file} was described by the model {', '.join(sorted(other))}, and {where} by "
                f"{', '.join(sorted(known))}: a search could not compare their photos.",
                "Describe one of them again with the other's model: "
                "`captioner index --recaption --model FOLDER --db FILE`. Or keep both, and search "
                "them one by one.",
            )


def _models(file: Path) -> set[str]:
    if _is_index(file):
        with Index.open(file) as other:
            return set(other.model_ids())
    part = parts.read(file, str(file))
    return {part.bundle.model_id} if part.bundle.model_id else set()


def _is_index(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise CaptionerError(f"{file} cannot be read: {error.strerror}.") from error
