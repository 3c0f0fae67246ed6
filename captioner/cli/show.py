"""`captioner show`: captions and metadata in a photo, its sidecars and the index, compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options
from captioner.cli.paths import beside
from captioner.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from captioner.statements import Statement

PHOTO, INDEX = "photo", "index"


def show(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="The photo.")],
    *,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Show what a photo, its sidecars and the index say about it.

    In a terminal, prints a table with a column for each source. Otherwise one line per item: kind,
    file, field, author and text, separated by tabs. Searches show the first caption from the
    index, or its keywords if it has none.

    \b
    Examples:
      captioner show holiday/beach.jpg
      captioner show --json holiday/beach.jpg
    """
    console.configure_output(quiet=quiet, log_file=log_file)
    path = Path(photo)
    if os.path.isdir(path):  # noqa: PTH112 (is_dir may raise)
        raise UsageError(f"{console.shown(photo)} is a folder.", "Name one photo instead.")
    try:
        found = [*_in_files(path), *_in_index(path, database)]
    except PhotoError as error:
        if as_json:
            console.json_line({"path": photo, "error": str(error)})
        raise
    if as_json:
        for one in found:
            console.json_line(_record(photo, path, one))
    elif found and console.stdout_is_terminal():
        _side_by_side(path, found)
    else:
        for one in found:
            parts = one.what, _place(path, one), one.field, one.author(), one.text
            console.line(*(part.replace("\t", " ").replace("\n", " / ") for part in parts))
    if not found:
        console.note(f"No caption, title or keywords found for {console.shown(photo)}.")


def _record(photo: str, path: Path, one: Statement) -> dict[str, object]:
    where = INDEX if one.file is None else PHOTO if one.file == path else "sidecar"
    return {
        "path": photo,
        "where": where,
        "file": None if one.file is None else beside(photo, one.file.name),
        "what": one.what,
        "field": one.field or None,
        "source": one.source,
        "model": one.model,
        "text": one.text,
        **one.values,
    }


def _place(photo: Path, one: Statement) -> str:
    """The place of an item, for display."""
    return INDEX if one.file is None else PHOTO if one.file == photo else one.file.name


def _in_files(photo: Path) -> tuple[Statement, ...]:
    from captioner import statements

    try:
        files = statements.in_files(photo)
    except PhotoError as error:
        raise PhotoError(f"cannot read {console.shown(str(photo))}: {error}") from error
    for problem in files.problems:
        if problem.partial:
            path = console.shown(str(problem.path))
            console.warning(f"cannot read part of {path}: {problem.reason}")
        else:
            console.cannot_read(str(problem.path), problem.reason)
    return files.found


def _in_index(photo: Path, database: Path | None) -> Iterator[Statement]:
    from captioner import statements
    from captioner.app_paths import database_path
    from captioner.errors import UsageError
    from captioner.index import Index

    try:
        with Index.open(database or database_path()) as index:
            known = index.stored_caption(photo)
            facts = index.facts(photo)
    except UsageError as error:  # The files are shown nevertheless.
        console.warning(error.reason)
        return
    yield from statements.in_index(known, facts)


def _side_by_side(photo: Path, found: Sequence[Statement]) -> None:
    """Print a table: a column for each place, a row for each kind of item."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    places = list(dict.fromkeys(_place(photo, one) for one in found))
    table = Table("", show_lines=True)
    for place in places:
        table.add_column(Text(console.shown(place)))
    for what in dict.fromkeys(one.what for one in found):
        cells = [Text() for _ in places]
        for one in found:
            if one.what == what:
                cell = cells[places.index(_place(photo, one))]
                cell.append("\n" if cell else "").append(console.shown_lines(one.text))
                origin = ", ".join(part for part in (one.author(), one.field) if part)
                cell.append(f"\n{console.shown(origin)}", "dim")
        table.add_row(what, *cells)
    Console(highlight=False).print(table)
