"""`captioner forget`: remove photos and folders from the index, not from disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, removal, updating
from captioner.cli.paths import InputPaths

if TYPE_CHECKING:
    from captioner.index import IndexedPhoto

_UNKNOWN = "is not in the index, and neither is anything below it."
_SHOWN = 20
"""How many human-authored captions are listed before the question."""


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

    Everything recorded about them is removed, including captions that you entered with
    `captioner edit`. A folder is removed with all photos below it, and `captioner index` without
    arguments no longer visits it. The files need not exist. To keep a single photo out of the
    index for good, name it in a .captionerignore file.

    \b
    Examples:
      captioner forget ~/Pictures/old
      captioner forget holiday/blurred.jpg --yes
    """
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure_output(quiet=quiet, log_file=log_file)
    path = database or database_path()
    inputs = InputPaths(paths, nul=nul)
    known: list[Path] = []
    unknown: list[str] = []
    photos: dict[int, IndexedPhoto] = {}
    with Index.open(path) as index:
        roots = index.roots()
        for one in inputs:
            found = index.photos_at(one)
            absolute = Path(os.path.abspath(one))  # noqa: PTH100 (resolve() would follow links)
            if found or any(root.is_relative_to(absolute) for root in roots):
                known.append(absolute)
                photos.update((entry.id, entry) for entry in found)
            else:
                unknown.append(inputs.spelled(one))
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
        with updating.open_for_writing(path) as index:
            index.delete(list(photos.values()), known)
            roots = index.roots()
    console.note(f"Removed {what} from the index.")
    there = [entry for entry in photos.values() if os.path.lexists(entry.path)]
    again = sum(any(entry.path.is_relative_to(root) for root in roots) for entry in there)
    if again:
        console.note(
            f"{console.counted(again)} will be indexed again with the folder, unless "
            f"{'it is' if again == 1 else 'they are'} named in a .captionerignore file."
        )
    if unknown:
        raise typer.Exit(1)


def _list_captions(entries: list[IndexedPhoto]) -> None:
    """List the human-authored captions that would be lost."""
    if not entries:
        return
    console.note(f"{console.counted(len(entries))} with a caption of yours:")
    for entry in entries[:_SHOWN]:
        console.note(f"  {console.shown(str(entry.path))}: {console.shown(entry.caption or '')}")
    if len(entries) > _SHOWN:
        console.note(f"  and {len(entries) - _SHOWN:,} more")
