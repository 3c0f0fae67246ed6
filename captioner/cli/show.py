"""`captioner show`: what a photo, its sidecars and the index say, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from captioner.cli import console, options

if TYPE_CHECKING:
    from captioner.metadata.provenance import Content, Text
    from captioner.types import Facts

PHOTO, INDEX = "photo", "index"


class Said(NamedTuple):
    """One thing that is said about a photo."""

    about: str
    """What it is: a caption, keywords, …"""
    where: str
    """The photo, the name of a sidecar, or the index."""
    field: str
    """As the standard that it stands in calls it; empty in the index."""
    whose: str
    text: str


def show(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo.")],
    *,
    as_json: options.Json = False,
    database: options.Database = None,
) -> None:
    """Show what a photo, its sidecars and the index say about it.

    In a terminal side by side; otherwise one line for each: what it is, where it stands, in which
    field, whose words they are, and what it says, separated by tabs.

    \b
    Examples:
      captioner show holiday/beach.jpg
      captioner show --json holiday/beach.jpg
    """
    path = Path(photo)
    found = [*_in_photo(path), *_in_sidecars(path), *_in_index(path, database)]
    if as_json:
        for said in found:
            console.json_line(said._asdict())
    elif found and console.for_the_eye():
        _side_by_side(found)
    else:
        for said in found:
            console.line(*(part.replace("\t", " ").replace("\n", " / ") for part in said))
    if not found:
        console.note(f"Nothing is said about {console.shown(photo)}.")


def _in_photo(photo: Path) -> Iterator[Said]:
    from captioner import regular
    from captioner.errors import PhotoError
    from captioner.metadata.reading import LARGEST, read_photo

    try:
        content = read_photo(regular.read(photo, LARGEST))
    except regular.TooLargeError as error:
        raise PhotoError(f"cannot read {photo}: it is too large.") from error
    except OSError as error:
        raise PhotoError(f"cannot read {console.shown(str(photo))}: {error.strerror}.") from error
    _warn(photo, content)
    yield from _of(PHOTO, content)


def _in_sidecars(photo: Path) -> Iterator[Said]:
    from captioner import regular
    from captioner.metadata import provenance, sidecar

    beside = sidecar.Folders().of(photo)
    for path in (beside.own, *beside.others):
        try:
            content = provenance.read_tolerantly(regular.read(path, sidecar.LARGEST))
        except regular.TooLargeError:
            console.warning(f"cannot read {console.shown(str(path))}: it is too large.")
        except OSError as error:
            if os.path.lexists(path):
                console.warning(f"cannot read {console.shown(str(path))}: {error.strerror}.")
        else:
            _warn(path, content)
            yield from _of(path.name, content)


def _warn(path: Path, content: Content) -> None:
    for error in content.unread:
        console.warning(f"cannot read all of {console.shown(str(path))}: {error}")


def _in_index(photo: Path, database: Path | None) -> Iterator[Said]:
    from captioner.errors import UsageError
    from captioner.index import Index
    from captioner.places import database_path

    try:
        with Index.open(database or database_path()) as index:
            known = index.known(photo)
            facts = index.facts(photo)
    except UsageError as error:  # The files speak for themselves.
        console.warning(error.reason)
        return
    if known:
        whose = _captioners(known.model_id) if known.model_id else "a person's"
        if known.text:
            yield Said("caption", INDEX, "", whose, known.text)
        if known.keywords:
            yield Said("keywords", INDEX, "", "captioner's", ", ".join(known.keywords))
        if known.model_id and known.text:
            yield Said("score", INDEX, "", whose, f"{known.score:.2f}")
    if facts:
        yield from _of_facts(facts)


def _of_facts(facts: Facts) -> Iterator[Said]:
    """What the photo's file and its sidecars said when they were indexed."""
    person = "a person's"
    if facts.title:
        yield Said("title", INDEX, "", person, facts.title)
    if facts.caption:
        yield Said("caption in the file", INDEX, "", person, facts.caption)
    if facts.keywords:
        yield Said("keywords in the file", INDEX, "", person, ", ".join(facts.keywords))
    if facts.taken_at:
        yield Said("taken", INDEX, "", "", facts.taken_at + (facts.taken_offset or ""))
    if facts.latitude is not None:
        yield Said("place", INDEX, "", "", f"{facts.latitude:.6f}, {facts.longitude:.6f}")


def _of(where: str, content: Content) -> Iterator[Said]:
    for about, texts in (("caption", content.texts), ("alternative text", content.alts)):
        for text in texts:
            if text.text:
                yield Said(about, where, text.field, _whose(content, text), text.text)
    own = [word for word in content.keywords if word in content.mark.keywords]
    others = [word for word in content.keywords if word not in content.mark.keywords]
    for words, whose in ((others, "a person's"), (own, _captioners(content.mark.model))):
        if words:
            yield Said("keywords", where, "", whose, ", ".join(words))


def _captioners(model: str | None) -> str:
    return f"captioner's ({model})" if model else "captioner's"


def _whose(content: Content, text: Text) -> str:
    from captioner import wording
    from captioner.metadata import provenance

    if content.own(text):
        return _captioners(content.mark.model)
    if wording.is_placeholder(text.text):
        return "a camera's"
    if provenance.is_data(text):
        return "a program's"
    return "a person's, captioner's last line" if content.own_tail(text) else "a person's"


def _side_by_side(found: Sequence[Said]) -> None:
    """A column for each place, a row for each kind of thing said."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    places = list(dict.fromkeys(said.where for said in found))
    table = Table("", show_lines=True)
    for place in places:
        table.add_column(Text(console.shown(place)))
    for about in dict.fromkeys(said.about for said in found):
        cells = [Text() for _ in places]
        for said in found:
            if said.about == about:
                cell = cells[places.index(said.where)]
                cell.append("\n" if cell else "").append(console.shown_lines(said.text))
                aside = ", ".join(part for part in (said.whose, said.field) if part)
                cell.append(f"\n{console.shown(aside)}", "dim")
        table.add_row(about, *cells)
    Console(highlight=False).print(table)
