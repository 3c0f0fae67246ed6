"""`captioner edit`: a caption and keywords by the user, before the model's."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, streams, updating
from captioner.cli.text_argument import TextCommand
from captioner.errors import CaptionerError, UsageError
from captioner.system.paths import absolute, quoted

if TYPE_CHECKING:
    from captioner.index import CurrentCaption, Index

COMMAND = TextCommand
_SCISSORS = "# ------------------- everything below this line is ignored -------------------"


def edit(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo in the index.")],
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT]",
            help="The caption, or - to read it from standard input; opens your editor if omitted.",
        ),
    ] = None,
    *,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove your caption and use the model's again.")
    ] = False,
    add_keywords: Annotated[
        list[str] | None,
        typer.Option("--add-keyword", metavar="WORD", help="Add a keyword of yours (repeatable)."),
    ] = None,
    remove_keywords: Annotated[
        list[str] | None,
        typer.Option(
            "--remove-keyword",
            metavar="WORD",
            help="Remove a keyword, yours or the model's (repeatable).",
        ),
    ] = None,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Write your own caption for a photo, or change its keywords.

    Your caption is shown and searched instead of the model's, and no other run or model
    overwrites it. It is stored in the index; `captioner write` writes it to a sidecar or the
    photo. VISUAL or EDITOR selects your editor. Line breaks become spaces. The same applies to your
    keywords; a keyword of the model that you remove stays removed.

    \b
    Examples:
      captioner edit beach.jpg "Rex and Emma on the beach at Sylt"
      captioner edit beach.jpg
      captioner edit beach.jpg --remove
      captioner edit beach.jpg --add-keyword Sylt --remove-keyword boat
    """
    from captioner.app_paths import database_path
    from captioner.index import Index

    console.configure_output(quiet=quiet, log_file=log_file)
    if remove and text is not None:
        raise UsageError("--remove takes no text.", "Use either TEXT or --remove.")
    path, name = Path(photo), console.shown(photo)
    if path.is_dir():
        raise UsageError(f"{name} is a folder.", "Name one photo instead.")
    with Index.open(database or database_path()) as index:
        updating.warn_of_network(index)
        before = index.current_caption(path)
        if before is None:
            raise UsageError(f"{name} is not in the index.", _how_to_add(path))
        if add_keywords or remove_keywords:
            _edit_keywords(index, path, name, add_keywords or [], remove_keywords or [])
            if text is None and not remove:
                return
        if remove and not before.by_person:
            console.note(f"{name} has no caption of yours.")
            return
        caption = "" if remove else _new_caption(text, name, before)
        if not (remove or caption.strip()):
            raise UsageError("the caption is empty.", "To remove your caption, use --remove.")
        index.set_caption(path, caption)
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
        console.note(f"{name} no longer has a caption.")
    if written:
        console.note(
            "The caption written to its file or sidecar is still there: change it with "
            "`captioner write --existing replace`, or remove it with `captioner undo`."
        )


def _edit_keywords(
    index: Index, path: Path, name: str, add: Sequence[str], remove: Sequence[str]
) -> None:
    if not all(word.strip() for word in (*add, *remove)):
        raise UsageError("the keyword is empty.", "Write a word after the option.")
    index.edit_keywords(path, add=add, remove=remove)
    stored = index.stored_caption(path)
    words = (*stored.edited_keywords, *stored.keywords) if stored else ()
    shown = ", ".join(dict.fromkeys(map(console.shown, words)))
    console.note(f"{name}: {shown}" if shown else f"{name} has no keywords.")


def _how_to_add(path: Path) -> str:
    if not path.exists():
        return "The file does not exist either. Check the path."
    return f"Add it with: captioner index {console.shown(quoted(str(path)))}"


def _new_caption(text: str | None, name: str, before: CurrentCaption) -> str:
    """The caption from the argument, standard input or an editor."""
    if text == "-":
        return streams.stdin_text()
    if text is not None:
        return text
    if not (streams.stdin_is_terminal() and sys.stdout.isatty()):
        raise UsageError(
            "there is no terminal to open an editor in.",
            "Add the caption after the photo, or - to read it from standard input.",
        )
    return _from_editor(name, before)


def _from_editor(name: str, before: CurrentCaption) -> str:
    import click

    author = "your caption" if before.by_person else "the model's" if before.text else "none"
    page = (
        f"{before.text}\n\n{_SCISSORS}\n# {name}\n"
        f"# Current caption: {author}. Save the file to use the text above as yours.\n"
    )
    try:
        edited_page = click.edit(page)
    except click.ClickException as error:
        raise CaptionerError(
            f"the editor failed: {error.message}.",
            "Set VISUAL or EDITOR to another editor, or add the caption after the photo.",
        ) from error
    if edited_page is None:
        console.note("Not saved: nothing was changed.")
        raise typer.Exit
    return edited_page.partition(_SCISSORS)[0]
