"""`captioner stats`: counts of what is in the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.table import Table

    from captioner.index import Statistics

_BAR_WIDTH = 12
_NAME_WIDTH = 24


def stats(
    *,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=1, metavar="N", help="Print at most N entries of each list."
        ),
    ] = 10,
    as_json: options.Json = False,
    database: options.Database = None,
) -> None:
    """Count the photos in the index, by keyword, camera, year, format and model.

    Failures are counted by reason. Missing photos are included. --json prints one object with
    complete lists.

    \b
    Examples:
      captioner stats
      captioner stats --json | jq '.reasons[].example'
    """
    from captioner.app_paths import database_path
    from captioner.index import Index

    with Index.open(database or database_path()) as index:
        found = index.statistics()
    if as_json:
        console.json_line(_record(str(index.path), found))
    else:
        console.page(_page(str(index.path), found, limit))


def _record(path: str, found: Statistics) -> dict[str, object]:
    record = {"database": path, **asdict(found)}
    # Renamed, since keys such as "keywords" have another meaning in the JSON of other commands.
    lists = ("formats", "keywords", "cameras", "years", "models")
    record["photos_by"] = {name.removesuffix("s"): record.pop(name) for name in lists}
    return record


def _page(path: str, found: Statistics, limit: int) -> Iterator[RenderableType]:
    from rich.columns import Columns
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    yield Text.assemble((console.shown(path), "bold"), f"  {console.spell_bytes(found.bytes)}")
    yield Padding(_photos(found), (1, 0, 0, 0))
    if found.reasons:
        yield Padding(_reasons(found, limit), (1, 0, 0, 0))
    lists = [
        Padding(_list(title, counts, limit), (1, 0, 0, 0))
        for title, counts in (
            ("Keywords", found.keywords),
            ("Cameras", found.cameras),
            ("Years", found.years),
            ("Formats", found.formats),
            ("Models", found.models),
        )
        if counts
    ]
    yield Columns(lists, padding=(0, 4)) if console.stdout_is_terminal() else Group(*lists)


def _table(title: str, *justify: JustifyMethod) -> Table:
    """A table with a title and one column for each justification."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for method in justify:
        table.add_column(justify=method)
    table.add_row(Text(title, "bold"))
    return table


def _photos(found: Statistics) -> Table:
    table = _table("Photos", "left", "right")
    for name, number in (
        ("total", found.photos),
        ("described", found.described),
        ("with keywords only", found.wordless),
        ("failed", found.failed),
        ("missing", found.missing),
        ("ignored", found.ignored),
        ("with your own caption", found.edited),
        ("with a caption in the file", found.captioned),
        ("with a date", found.dated),
        ("with a location", found.placed),
    ):
        table.add_row(name, f"{number:,}")
    return table


def _reasons(found: Statistics, limit: int) -> Table:
    from rich.style import Style
    from rich.text import Text

    table = _table("Failures", "right", "left")
    for reason in found.reasons[:limit]:
        table.add_row(f"{reason.photos:,}", console.shown(reason.text))
        link = Style(dim=True, link=Path(reason.example).as_uri())
        table.add_row("", Text(console.shown(reason.example), link, overflow="fold"))
    return table


def _list(title: str, counts: Mapping[str, int], limit: int) -> Table:
    from rich.text import Text

    table = _table(title, "left", "right", "left")
    most = max(counts.values())
    if console.stdout_is_terminal():  # so that two lists fit side by side in 80 columns
        table.columns[0].max_width = _NAME_WIDTH
        table.columns[0].no_wrap = True
    for name, number in list(counts.items())[:limit]:
        bar = "━" * max(1, _BAR_WIDTH * number // most) if console.stdout_is_terminal() else ""
        table.add_row(Text(console.shown(name)), f"{number:,}", Text(bar, "dim"))
    if len(counts) > limit:
        table.add_row(Text(f"{len(counts) - limit:,} more", "dim"))
    return table
