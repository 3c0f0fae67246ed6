"""`captioner edit`: a person's words about a photo, in place of the model's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, streams, updating
from captioner.cli.text_argument import TextCommand
from captioner.errors import CaptionerError, UsageError
from captioner.system.paths import absolute, quoted

if TYPE_CHECKING:
    from captioner.index import CurrentCaption

COMMAND = TextCommand
_SCISSORS = "# ------------------------ what follows is not kept ------------------------"


def edit(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo in the index.")],
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help="What to say of it; - takes it from standard input. Left out: opens your editor.",
        ),
    ] = None,
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take your words back; the model's count again.")
    ] = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Say in your own words what a photo shows.

    Your words are shown in place of the model's, found by search like them, and never overwritten:
    not by another run, nor by another model. They are kept in the index; `captioner write` puts
    them into the photo. VISUAL or EDITOR names your editor. Line breaks become spaces.

    \b
    Examples:
      captioner edit beach.jpg "Rex and Emma on the beach at Sylt"
      captioner edit beach.jpg
      captioner edit beach.jpg --remove
    """
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure(quiet=quiet, log_file=log_file)
    if remove and text is not None:
        raise UsageError("--remove takes no text.", "Give either the text or --remove.")
    path, name = Path(photo), console.shown(photo)
    if path.is_dir():
        raise UsageError(f"{name} is a folder.", "Name one photo.")
    with Index.open(database or database_path()) as index:
        updating.warn_of_network(index)
        before = index.current_caption(path)
        if before is None:
            raise UsageError(f"{name} is not in the index.", _how_to_know(path))
        if remove and not before.by_person:
            console.note(f"{name} has no caption of yours.")
            return
        words = "" if remove else _asked(text, name, before)
        if not (remove or words.strip()):
            raise UsageError("the text is empty.", "--remove takes your words back.")
        index.set_caption(path, words)
        written = remove and any(
            absolute(path) in map(os.fspath, places)
            for places in index.writes().photo_paths().values()
        )
        after = next(
            iter(index.display_captions(entry.id for entry in index.photos_at(path)).values()), None
        )
    if after and after.kind == "sentence":
        console.note(f"{name}: {after.text}")
    else:
        console.note(f"{name} has no caption any more.")
    if written:
        console.note(
            "Captions that were written into its file or sidecar are still there: "
            "`captioner write --existing replace` or `captioner undo` changes them."
        )


def _how_to_know(path: Path) -> str:
    if not path.exists():
        return "There is no such file, either: is the path right?"
    return f"Add it with: captioner index {console.shown(quoted(str(path)))}"


def _asked(text: str | None, name: str, before: CurrentCaption) -> str:
    """The words, wherever the person wants to give them."""
    if text == "-":
        return streams.stdin_text()
    if text is not None:
        return text
    if not (streams.stdin_is_terminal() and sys.stdout.isatty()):
        raise UsageError(
            "there is no terminal to open an editor in.",
            "Give the text after the photo, or - to take it from standard input.",
        )
    return _from_editor(name, before)


def _from_editor(name: str, before: CurrentCaption) -> str:
    import click

    whose = (
        "Your words" if before.by_person else "What the model says" if before.text else "Nothing"
    )
    page = f"{before.text}\n\n{_SCISSORS}\n# {name}\n# {whose} so far. Save to keep the text.\n"
    try:
        page_after = click.edit(page)
    except click.ClickException as error:
        raise CaptionerError(
            f"the editor did not end well: {error.message}.",
            "Name another in VISUAL or EDITOR, or give the text after the photo.",
        ) from error
    if page_after is None:
        console.note("Not saved: nothing has changed.")
        raise typer.Exit
    return page_after.partition(_SCISSORS)[0]
