"""`captioner show`: captions and metadata in a photo, its sidecars and the index, compared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from captioner.cli import console, options
from captioner.cli.paths import beside
from captioner.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from captioner.metadata.fields import FieldText, FileMetadata
    from captioner.types import Facts, StoredCaption

PHOTO, INDEX = "photo", "index"

Source = Literal["person", "model", "camera", "program"]
_AUTHORS: dict[Source | None, str] = {
    None: "",
    "person": "a person's",
    "model": "captioner's",
    "camera": "a camera's",
    "program": "a program's",
}


class Statement(NamedTuple):
    """One piece of metadata from a photo, a sidecar or the index."""

    what: str
    """The kind: "caption", "keywords" and so on."""
    file: Path | None
    """The photo or the sidecar; None for the index."""
    text: str
    source: Source | None
    """Who wrote it; None if unknown."""
    field: str = ""
    """The name of the metadata field in its standard; empty for the index."""
    model: str | None = None
    """The id of the model that generated the text."""
    appended: bool = False
    """Whether the last line was appended by captioner to a human-authored caption."""
    values: Mapping[str, object] = MappingProxyType({})
    """The same as numbers and times, for JSON."""

    def author(self) -> str:
        """Who wrote it, for display."""
        author = _AUTHORS[self.source] + (f" ({self.model})" if self.model else "")
        return f"{author}, captioner's last line" if self.appended else author


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
        found = [*_in_photo(path), *_in_sidecars(path), *_in_index(path, database)]
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


def _in_photo(photo: Path) -> Iterator[Statement]:
    from captioner import regular_files
    from captioner.metadata.reading import MAX_BYTES, read_photo
    from captioner.photos.path_errors import explain

    try:
        content = read_photo(regular_files.read(photo, MAX_BYTES))
    except regular_files.TooLargeError as error:
        raise PhotoError(f"cannot read {photo}: it is too large.") from error
    except OSError as error:
        raise PhotoError(f"cannot read {console.shown(str(photo))}: {explain(error)}") from error
    _warn(photo, content)
    yield from _of(photo, content)


def _in_sidecars(photo: Path) -> Iterator[Statement]:
    from captioner import regular_files
    from captioner.metadata import sidecar
    from captioner.metadata.packet import read_packet_tolerantly
    from captioner.photos.path_errors import explain

    sidecars = sidecar.SidecarFinder().find(photo)
    for path in (sidecars.main, *sidecars.others):
        try:
            content = read_packet_tolerantly(regular_files.read(path, sidecar.MAX_BYTES))
        except regular_files.TooLargeError:
            console.cannot_read(str(path), "it is too large.")
        except OSError as error:
            if os.path.lexists(path):
                console.cannot_read(str(path), explain(error))
        else:
            _warn(path, content)
            yield from _of(path, content)


def _warn(path: Path, content: FileMetadata) -> None:
    for error in content.unreadable:
        console.warning(f"cannot read part of {console.shown(str(path))}: {error}")


def _in_index(photo: Path, database: Path | None) -> Iterator[Statement]:
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
    edited = bool(known and known.text and not known.model_id)
    if known and known.text and edited:
        yield Statement("caption", None, known.text, "person")
    if facts and facts.caption:
        yield Statement("caption", None, facts.caption, "person")
    if known:
        yield from _of_model(known)
    if facts:
        yield from _of_facts(facts)


def _of_model(known: StoredCaption) -> Iterator[Statement]:
    if known.text and known.model_id:
        confidence = round(known.confidence, 4)
        yield Statement("caption", None, known.text, "model", model=known.model_id)
        yield Statement(
            "confidence",
            None,
            f"{confidence:.2f}",
            "model",
            model=known.model_id,
            values={"confidence": confidence},
        )
    if known.edited_keywords:
        yield Statement("keywords", None, ", ".join(known.edited_keywords), "person")
    if known.keywords:
        yield Statement("keywords", None, ", ".join(known.keywords), "model")


def _of_facts(facts: Facts) -> Iterator[Statement]:
    """Metadata read from the photo and its sidecars when it was indexed."""
    if facts.title:
        yield Statement("title", None, facts.title, "person")
    if facts.keywords:
        yield Statement("keywords", None, ", ".join(facts.keywords), "person")
    if facts.taken_at:
        yield Statement(
            "taken",
            None,
            facts.taken_at + (facts.taken_offset or ""),
            None,
            values={"taken_at": facts.taken_at, "taken_offset": facts.taken_offset},
        )
    if facts.latitude is not None:
        yield Statement(
            "place",
            None,
            f"{facts.latitude:.6f}, {facts.longitude:.6f}",
            None,
            values={"latitude": facts.latitude, "longitude": facts.longitude},
        )


def _of(file: Path, content: FileMetadata) -> Iterator[Statement]:
    for what, texts in (("caption", content.texts), ("alternative text", content.alt_texts)):
        for text in texts:
            if text.text:
                source = _source(content, text)
                yield Statement(
                    what,
                    file,
                    text.text,
                    source,
                    text.field,
                    content.mark.model if source == "model" else None,
                    source == "person" and content.ends_with_own_line(text),
                )
    own = [word for word in content.keywords if word in content.mark.keywords]
    others = [word for word in content.keywords if word not in content.mark.keywords]
    if others:
        yield Statement("keywords", file, ", ".join(others), "person")
    if own:
        yield Statement("keywords", file, ", ".join(own), "model", model=content.mark.model)


def _source(content: FileMetadata, text: FieldText) -> Source:
    from captioner import authorship

    if content.is_own(text):
        return "model"
    if authorship.is_placeholder(text.text):
        return "camera"
    if text.is_program_data:
        return "program"
    return "person"


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
