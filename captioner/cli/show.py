"""`captioner show`: what a photo, its sidecars and the index say, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captioner.metadata.provenance import Content, Text


def show(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo.")],
    *,
    as_json: options.Json = False,
    database: options.Database = None,
) -> None:
    """Show what a photo, its sidecars and the index say, and whose words they are.

    A line a text: where it stands, whose it is, and what it says, parted by tabs.

    \b
    Examples:
      captioner show holiday/beach.jpg
      captioner show --json holiday/beach.jpg
    """
    found = False
    for place, whose, text in (*_in_files(Path(photo)), *_in_index(Path(photo), database)):
        found = True
        if as_json:
            console.json_line({"where": place, "whose": whose, "text": text})
        else:
            console.line(place, whose, text.replace("\t", " ").replace("\n", " / "))
    if not found:
        console.note(f"Nobody has said anything about {console.shown(photo)}.")


def _in_files(photo: Path) -> Iterator[tuple[str, str, str]]:
    from captioner.errors import PhotoError
    from captioner.metadata import embed, sidecar
    from captioner.metadata.refusal import Refused

    try:
        yield from _said("", embed.read(photo.read_bytes()))
    except OSError as error:
        raise PhotoError(f"cannot read {photo}: {error.strerror}.") from error
    for path in (sidecar.beside(photo), *sidecar.others(photo)):
        if not path.is_file():
            continue
        try:
            yield from _said(f"{path.name}: ", sidecar.read(path.read_bytes()))
        except Refused as error:
            console.note(f"captioner: cannot read {console.shown(str(path))}: {error}")


def _said(where: str, content: Content) -> Iterator[tuple[str, str, str]]:
    for text in (*content.texts, *content.alts):
        if text.text:
            yield f"{where}{text.field}", _whose(content, text), text.text
    own = [word for word in content.keywords if word in content.mark.keywords]
    others = [word for word in content.keywords if word not in content.mark.keywords]
    for words, whose in ((others, "a person's"), (own, f"captioner's ({content.mark.model})")):
        if words:
            yield f"{where}keywords", whose, ", ".join(words)


def _whose(content: Content, text: Text) -> str:
    from captioner.metadata import provenance

    if content.own(text):
        return f"captioner's ({content.mark.model})"
    if provenance.is_data(text.text):
        return "a program's"
    if provenance.is_placeholder(text.text):
        return "a camera's"
    return "a person's, captioner's last line" if content.own_tail(text) else "a person's"


def _in_index(photo: Path, database: Path | None) -> Iterator[tuple[str, str, str]]:
    from captioner.errors import UsageError
    from captioner.index import Index
    from captioner.places import database_path

    try:
        with Index.open(database or database_path()) as index:
            known = index.known(photo)
    except UsageError as error:  # The files speak for themselves.
        console.note(f"captioner: {error.reason}")
        return
    if known:
        whose = f"captioner's ({known.model_id})" if known.model_id else "a person's"
        yield "index: caption", whose, known.text
        yield "index: score", whose, f"{known.score:.2f}"
        if known.keywords:
            yield "index: keywords", whose, ", ".join(known.keywords)
