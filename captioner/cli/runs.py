"""`captioner runs`: the training runs in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options
from captioner.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from captioner.training.runs import RunSummary

HEADINGS = ("state", "started", "time", "epochs", "best CIDEr", "CIDEr", "run")


def runs(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]",
            help="Folder that is searched, with all below it. [default: the current folder]",
            show_default=False,
        ),
    ] = Path(),
    *,
    as_json: options.Json = False,
) -> None:
    """List training runs with their state, CIDEr and duration, newest first.

    A run is finished, stopped, failed or running. The best CIDEr is that of the best epoch of any
    decoder on dev; CIDEr is that of the finished bundle, with all that was chosen for it. Each
    run's folder also has its configuration, its environment and its learning curves
    (tensorboard --logdir FOLDER).

    \b
    Examples:
      captioner runs
      captioner runs experiments --json | jq 'select(.state == "finished")'
    """
    from captioner.training.runs import find_runs

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", "Name a folder with training runs.")
    found = find_runs(folder)
    if as_json:
        for run in found:
            console.json_line({**asdict(run), "folder": str(run.folder)})
    elif not found:
        console.note(f"There are no training runs in {console.shown(str(folder))} or below it.")
    elif console.stdout_is_terminal():
        console.page([_table(found)])
    else:
        for row in (HEADINGS, *_rows(found)):
            console.line(*row)


def _rows(found: Sequence[RunSummary]) -> Iterator[tuple[str, ...]]:
    for run in found:
        reason = run.reason.partition("\n")[0]
        yield (
            f"{run.state}: {reason}" if reason else run.state,
            _local(run.started_at),
            _spelled(run.seconds),
            str(run.epochs),
            _figure(run.best_cider),
            _figure(run.cider),
            str(run.folder),
        )


def _table(found: Sequence[RunSummary]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        figure = heading in ("time", "epochs", "best CIDEr", "CIDEr")
        table.add_column(heading, justify="right" if figure else "left", overflow="fold")
    for row in _rows(found):
        table.add_row(*(Text(console.shown(cell)) for cell in row))
    return table


def _local(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return moment


def _spelled(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
