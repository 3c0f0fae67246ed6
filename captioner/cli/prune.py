"""`captioner prune`: forget photos that are gone for good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, keeping, options, streams
from captioner.errors import CaptionerError, UsageError


def prune(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR...]", help="Only photos that were below these folders."),
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Even where a folder is empty, away, or has lost more than half of its photos.",
        ),
    ] = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Remove photos that are gone from the index, with all that was said of them.

    `captioner index` marks photos as missing that it does not find any more, and takes them up
    again where they return. This lists them, asks, and then forgets them. Files are not touched.

    \b
    Examples:
      captioner prune
      captioner prune holiday/ --yes
    """
    from captioner.index import Index
    from captioner.places import database_path

    console.configure(quiet=quiet, log_file=log_file)
    path = database or database_path()
    with Index.open(path) as index:
        gone = index.missing(paths or ())
        there = sum(os.path.lexists(one.path) for one in gone)
        gone = [one for one in gone if not os.path.lexists(one.path)]
        doubts = index.doubts(gone)
    for one in gone:
        console.line(console.shown(str(one.path)), one.since, one.caption or "")
    if there:
        console.note(f"{console.counted(there)} there again: `captioner index` takes them up.")
    if not gone:
        console.note("No photo is missing.")
        return
    if doubts and not force:
        raise CaptionerError(
            " ".join(doubts), "If they are gone for good, add --force. Nothing was removed."
        )
    words = sum(one.by_person for one in gone)
    what = console.counted(len(gone)) + (f", {words:,} with words of a person" if words else "")
    if not yes:
        if not streams.stdin_is_terminal():
            raise UsageError(f"{what} to be removed, and nobody to ask.", "Add --yes.")
        typer.confirm(f"Remove {what} from the index?", abort=True, err=True)
    with keeping.to_write(path) as index:
        index.forget(gone)
    console.note(f"{what} removed.")
