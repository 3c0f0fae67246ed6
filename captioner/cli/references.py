"""Photos with reference captions, as `captioner evaluate` and `captioner compare` take them."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from captioner.cli import console, outputs
from captioner.errors import CaptionerError, UsageError

if TYPE_CHECKING:
    from captioner.training.corpora import Corpus, Example

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Photos with captions, in the formats of captioner train. [default: CAPTIONER_DATA]",
    ),
]

SplitName = Literal["dev", "test", "train", "rest", "all"]

Split = Annotated[
    SplitName,
    typer.Option(
        metavar="NAME", help="Split to evaluate: dev, test, train, rest (in no split) or all."
    ),
]

Limit = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, metavar="N", help="Evaluate the first N photos only."),
]

Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write an HTML page of photos with the best, the worst and some other captions.",
    ),
]

Force = Annotated[bool, typer.Option("--force", help="Replace an existing --html file.")]


def read_examples(
    data: Path | None,
    split: SplitName,
    limit: int | None,
    *,
    language: str | None = None,
    columns: list[str] | None = None,
) -> tuple[Corpus, tuple[Example, ...]]:
    """Read a data set and the photos of one of its splits.

    Raises
    ------
    UsageError, CaptionerError
        If there is no data set, it cannot be read, or the split is empty.
    """
    from captioner.training.corpora import find_data, read_corpus
    from captioner.training.corpora.columns import parse

    corpus = read_corpus(
        find_data(data), language=language or "", columns=parse(columns) if columns else None
    )
    examples = (corpus.photos if split == "all" else corpus.split(split))[:limit]
    if not examples:
        raise CaptionerError(
            f"{corpus.name} has no photos in the {split} split ({corpus.how}).",
            "Name another one with --split.",
        )
    return corpus, examples


def warn_of_skipped(corpus: Corpus) -> None:
    """Print what was skipped while a data set was read."""
    for warning in corpus.warnings:
        console.warning(f"{warning}.")


def check_writable(file: Path, *, force: bool) -> None:
    """Check that an HTML page can be written.

    Raises
    ------
    CaptionerError
        If Jinja2 is not installed.
    UsageError
        If the file cannot be written.
    """
    if not find_spec("jinja2"):
        raise CaptionerError(
            "--html needs the package jinja2.", "Install it with `pip install 'captioner[eval]'`."
        )
    file = outputs.check_file(file, "--html", force=force)
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write {file}: {error.strerror or error}.",
            "Name a file in a folder that exists and that you may write to.",
        ) from None
