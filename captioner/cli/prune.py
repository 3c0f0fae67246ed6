"""`captioner prune`: remove photos that are gone, or ignored, from the index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, options, removal, updating
from captioner.errors import CaptionerError


def prune(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR...]", help="Only photos that were below these folders."),
    ] = None,
    *,
    yes: options.Yes = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Even if a folder is empty, away, or has lost more than half of its photos.",
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Remove missing and ignored photos from the index.

    `captioner index` marks photos as missing when their files or folders were deleted, and as
    ignored when a .captionerignore or .nomedia file names them; it restores them if they
    reappear. This lists both, asks, and removes them with everything recorded about them. Files
    are not touched. One line per photo: path, reason (gone or ignored), since when, and caption,
    separated by tabs.

    \b
    Examples:
      captioner prune
      captioner prune holiday/ --yes
    """
    from captioner import indexing
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure(quiet=quiet, log_file=log_file)
    path = database or database_path()
    with Index.open(path) as index:
        gone, back = indexing.removable(index, paths or ())
        doubts = index.removal_warnings(gone)
        emptied = index.empty_roots()
        captions = index.display_captions(one.id for one in gone)
    for one in gone if not as_json else ():
        caption = captions[one.id].text
        console.line(console.shown(str(one.path)), one.reason or "", one.since or "", caption)
    if back:
        console.note(
            f"{console.counted(back)} can be found again: `captioner index` restores them."
        )
    updating.note_emptied(emptied)
    if not gone:
        console.note("No photo is missing.")
        return
    words = sum(one.by_person for one in gone)
    ignored = sum(one.reason == "ignored" for one in gone)
    counts = ((ignored, "ignored"), (words, "with a caption of yours"))
    details = ", ".join(f"{number:,} {kind}" for number, kind in counts if number)
    what = console.counted(len(gone)) + (f" ({details})" if details else "")
    with removal.listed(gone, captions, as_json=as_json):
        if doubts and not force:
            raise CaptionerError(
                " ".join(doubts), "If they are gone for good, add --force. Nothing was removed."
            )
        if not yes:
            removal.confirm(what)
        with updating.to_write(path) as index:
            index.delete(gone)
    console.note(f"Removed {what} from the index.")
