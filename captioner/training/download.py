"""Download of data sets from the Hugging Face hub into folders that training reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from captioner import offline
from captioner.errors import CaptionerError, UsageError
from captioner.model import destination
from captioner.training.hub import CORPORA, HubCorpus, missing

PARTS = ".download"
"""Folder for downloaded files, until the photos are written."""
_MARK = "captioner.txt"
"""Marks the folder as one that may be removed."""


def download(
    folder: Path,
    corpus: HubCorpus = CORPORA["flickr8k"],
    *,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Download a data set into `folder`, in a layout that `corpora.read_corpus` reads.

    This needs as much disk space again until it is done. If it is interrupted, downloaded files are
    kept and the next call continues; the caption file is written last, so a folder that has one is
    complete and is not downloaded again.

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
    check(folder, corpus)
    if (folder / corpus.complete).exists():
        _remove_parts(parts, corpus)
        return folder
    try:
        _fetch(parts, corpus)
        corpus.lay_out(parts, folder, progress or (lambda name: None))
        _remove_parts(parts, corpus)
        return folder
    except OSError as error:
        raise CaptionerError(
            f"the data set cannot be stored in {folder}: {error.strerror or error}.",
            "Free some space and run the command again: downloaded files are kept.",
        ) from error


def check(folder: Path, corpus: HubCorpus | None = None) -> None:
    """Check that a data set can be downloaded into a folder, or is there already.

    Parameters
    ----------
    corpus
        Which one; None: any.

    Raises
    ------
    UsageError
        If the folder has other contents, or cannot be written.
    """
    another = "Name a new folder with --download."
    wanted = CORPORA.values() if corpus is None else [corpus]
    try:
        real = folder.resolve()
        if destination.exists(real) and not real.is_dir():
            raise UsageError(f"{folder} is not a folder.", another)
        if any((real / one.complete).exists() for one in wanted):
            return
        begun = any(_is_ours(real / PARTS, one) for one in wanted)
        if real.is_dir() and any(real.iterdir()) and not begun:
            raise UsageError(f"{folder} is not empty.", another)
        destination.check_writable(destination.nearest(real))
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, until Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{folder} cannot be used: {reason}.", another) from None


def _marked(corpus: HubCorpus) -> bytes:
    return f"captioner keeps {corpus.repository} here while it comes.\n".encode()


def _is_ours(parts: Path, corpus: HubCorpus) -> bool:
    file = parts / _MARK
    return not parts.is_symlink() and file.is_file() and file.read_bytes() == _marked(corpus)


def _remove_parts(parts: Path, corpus: HubCorpus) -> None:
    if _is_ours(parts, corpus):
        shutil.rmtree(parts, ignore_errors=True)


def _fetch(parts: Path, corpus: HubCorpus) -> None:
    """Download the files; asks the hub only for what is missing."""
    offline.allow_downloads()
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise missing(corpus, error) from error
    parts.mkdir(parents=True, exist_ok=True)
    (parts / _MARK).write_bytes(_marked(corpus))
    try:
        snapshot_download(
            corpus.repository,
            repo_type="dataset",
            allow_patterns=list(corpus.patterns),
            local_dir=parts,
        )
    # The hub's client lets through the errors of whichever HTTP library it is built on.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CaptionerError(
            f"cannot download {corpus.repository} from the Hugging Face hub: {reason.rstrip('.')}.",
            "Check the network and run the command again: downloaded files are kept.",
        ) from error
