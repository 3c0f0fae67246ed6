"""`captioner index`: folders into the database, only what is new or changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options
from captioner.cli.paths import Given
from captioner.cli.progress import progress, spell_pace, spell_time

if TYPE_CHECKING:
    from captioner.index import Counts
    from captioner.pipeline import Summary
    from captioner.types import Describer, Description, Failure


def index(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR...", help="Folders, photos, or - for paths on standard input, one a line."
        ),
    ],
    *,
    nul: options.Nul = False,
    exclude: options.Exclude = None,
    include_hidden: options.Hidden = False,
    database: options.Database = None,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Describe photos and keep it in the index, for search.

    Photos that the index holds are not opened again unless their size or date has changed. An
    interrupted run keeps what it has done; the same command goes on from there.

    Below a folder, what is hidden is passed over, and what a .captionerignore file in it or above
    it names, in the syntax of .gitignore. A photo that is reached in several ways is taken once.

    \b
    Examples:
      captioner index ~/Pictures
      captioner index holiday/ --db holiday.db
    """
    from captioner import model as models
    from captioner.index import Index
    from captioner.photos.walk import Selection, walk
    from captioner.pipeline import update
    from captioner.places import database_path
    from captioner.types import Failure

    given = Given(paths, nul=nul)
    selection = Selection(tuple(exclude or ()), include_hidden)
    start = time.monotonic()
    described = 0

    def load() -> Describer:
        return models.load(model, device=device, precision=precision, batch_size=batch_size)

    def tell(result: Description | Failure) -> None:
        nonlocal described
        if isinstance(result, Failure):
            path = given.spelled(result.path)
            console.cannot_read(path, result.reason)
        else:
            path = given.spelled(result.photo.path)
            described += 1
        bar.done(path)

    with Index.open(database or database_path(), write=True) as opened:
        try:
            with progress() as bar:
                summary = update(
                    opened, walk(given, selection), load, planned=bar.planned, progress=tell
                )
        except KeyboardInterrupt:
            console.note(
                f"{console.counted(described)} indexed; the same command goes on from there."
            )
            raise
        console.note(_sum_up(summary, time.monotonic() - start))
        console.note(f"{opened.path} holds {_content(opened.counts())}.")
    if summary.failed:
        raise typer.Exit(1)


def _sum_up(summary: Summary, seconds: float) -> str:
    if not any((summary.described, summary.failed, summary.unchanged)):
        return "No photos found."
    if not summary.described and not summary.failed:
        return f"Nothing new: {console.counted(summary.unchanged)} unchanged."
    parts = ["No photo indexed"]
    if summary.described:
        pace = spell_pace(summary.described / seconds)
        parts = [f"{console.counted(summary.described)} indexed in {spell_time(seconds)} ({pace})"]
    if summary.failed:
        parts.append(f"{summary.failed:,} could not be read")
    if summary.unchanged:
        parts.append(f"{summary.unchanged:,} unchanged")
    return ", ".join(parts) + "."


def _content(counts: Counts) -> str:
    content = console.counted(counts.photos)
    return f"{content}, {counts.failed:,} of them unreadable" if counts.failed else content
