"""`captioner forget`: photos and folders out of the index, whether or not their files exist."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, removal, updating
from captioner.cli.paths import Given

if TYPE_CHECKING:
    from captioner.index import IndexedPhoto

_UNKNOWN = "is not in the index, nor is anything below it."
_SHOWN = 20
"""Captions of a person that are listed before the question."""


def forget(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Photos, folders, or - for paths on standard input, one per line.",
        ),
    ],
    *,
    yes: options.Yes = False,
    as_json: options.Json = False,
    nul: options.Null = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Remove photos or folders from the index, not from disk.

    Everything recorded about them is removed, your own captions in the index included. A folder
    is forgotten with all photos below it, and `captioner index` without arguments no longer
    looks into it. Neither the photos nor the folder need to exist any more. Name a photo in a
    .captionerignore file to keep it out of an index whose folder stays.

    \b
    Examples:
      captioner forget ~/Pictures/old
      captioner forget holiday/blurred.jpg --yes
    """
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure(quiet=quiet, log_file=log_file)
    path = database or database_path()
    given = Given(paths, nul=nul)
    known: list[Path] = []
    unknown: list[str] = []
    photos: dict[int, IndexedPhoto] = {}
    with Index.open(path) as index:
        roots = index.roots()
        for one in given:
            found = index.photos_at(one)
            absolute = Path(os.path.abspath(one))  # noqa: PTH100 (resolve() would follow links)
            if found or any(root.is_relative_to(absolute) for root in roots):
                known.append(absolute)
                photos.update((entry.id, entry) for entry in found)
            else:
                unknown.append(given.spelled(one))
        captions = index.display_captions(photos)
    for name in unknown:
        console.warning(f"{console.shown(name)} {_UNKNOWN}")
        if as_json:
            console.json_line({"path": name, "error": f"it {_UNKNOWN}"})
    if not known:
        raise typer.Exit(1)
    folders = sum(any(root.is_relative_to(one) for one in known) for root in roots)
    what = console.counted(len(photos))
    if folders:
        what += f" and {console.counted(folders, 'folder')}"
    _list_captions([entry for entry in photos.values() if entry.by_person])
    with removal.listed(photos.values(), captions, as_json=as_json):
        if not yes:
            removal.confirm(what)
        with updating.to_write(path) as index:
            index.delete(list(photos.values()), known)
            roots = index.roots()
    console.note(f"Removed {what} from the index.")
    there = [entry for entry in photos.values() if os.path.lexists(entry.path)]
    again = sum(any(entry.path.is_relative_to(root) for root in roots) for entry in there)
    if again:
        console.note(
            f"{console.counted(again)} will be indexed again with the folder, unless a "
            f".captionerignore file names {'it' if again == 1 else 'them'}."
        )
    if unknown:
        raise typer.Exit(1)


def _list_captions(entries: list[IndexedPhoto]) -> None:
    """Show the captions of a person that would be lost."""
    if not entries:
        return
    console.note(f"{console.counted(len(entries))} with a caption of yours:")
    for entry in entries[:_SHOWN]:
        console.note(f"  {console.shown(str(entry.path))}: {console.shown(entry.caption or '')}")
    if len(entries) > _SHOWN:
        console.note(f"  and {len(entries) - _SHOWN:,} more")
