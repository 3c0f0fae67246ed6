"""`captioner prune`: remove missing and ignored photos from the index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, options, removal, updating
from captioner.errors import CaptionerError


def prune(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER...]", help="Only photos that were below these folders."),
    ] = None,
    *,
    yes: options.Yes = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Remove even if a folder is empty, unavailable, or has lost over half its photos.",
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Remove missing and ignored photos from the index.

    `captioner index` marks photos as missing when their files or folders were deleted, and as
    ignored when a .captionerignore or .nomedia file excludes them; it restores them if they
    reappear. `prune` lists both, asks for confirmation, and removes them and everything recorded
    about them from the index. No file is touched. Prints one line per photo: path, reason (gone
    or ignored), date and caption, separated by tabs.

    \b
    Examples:
      captioner prune
      captioner prune holiday/ --yes
    """
    from captioner import indexing
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure_output(quiet=quiet, log_file=log_file)
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
        console.note(f"{console.counted(back)} found again: `captioner index` restores them.")
    updating.note_emptied(emptied)
    if not gone:
        console.note("No photo is missing or ignored.")
        return
    words = sum(one.by_person for one in gone)
    ignored = sum(one.reason == "ignored" for one in gone)
    counts = ((ignored, "ignored"), (words, "with a caption of yours"))
    details = ", ".join(f"{number:,} {kind}" for number, kind in counts if number)
    what = console.counted(len(gone)) + (f" ({details})" if details else "")
    with removal.listed(gone, captions, as_json=as_json):
        if doubts and not force:
            raise CaptionerError(
                " ".join(doubts), "Nothing was removed. If they are gone for good, add --force."
            )
        if not yes:
            removal.confirm(what)
        with updating.open_for_writing(path) as index:
            index.delete(gone)
    console.note(f"Removed {what} from the index.")
