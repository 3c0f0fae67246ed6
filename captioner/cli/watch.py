"""`captioner watch`: an index that stays in step with its folders."""

from __future__ import annotations

from functools import cache, partial
from typing import Annotated

import typer

from captioner.cli import console, keeping, loading, options
from captioner.cli.interrupt import finishing
from captioner.cli.paths import Given
from captioner.errors import LockedError


def watch(
    paths: Annotated[list[str], typer.Argument(metavar="DIR...", help="Folders.")],
    *,
    settle: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="Wait until nothing has changed for this long."
        ),
    ] = 2.0,
    exclude: options.Exclude = None,
    include_hidden: options.Hidden = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
    min_confidence: options.MinConfidence = None,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Index folders, and again whenever something changes in them, until Ctrl-C.

    \b
    Example:
      captioner watch ~/Pictures
    """
    from captioner.library import Options
    from captioner.photos.walk import Selection
    from captioner.photos.watch import Watcher
    from captioner.places import database_path

    console.configure(quiet=quiet, log_file=log_file)
    path = database or database_path()
    selection = Selection(tuple(exclude or ()), include_hidden)
    told: set[tuple[str, str]] = set()

    load = cache(
        partial(
            loading.load,
            model,
            device=device,
            precision=precision,
            batch_size=batch_size,
            min_confidence=min_confidence,
        )
    )

    def update(touched: list[str]) -> bool:
        """Whether that could be done now."""
        try:
            with keeping.to_write(path) as index:
                keeping.update(index, Given(touched), load, Options(), selection, stop, told=told)
        except LockedError as error:
            console.error(error.reason, "Trying again until it is free.")
            return False
        return True

    with Watcher(paths) as watcher, finishing() as stop:
        touched = list(paths)
        while not stop():
            late = not update(touched)
            again = watcher.touched(settle, stop, wait=30 if late else None)
            touched = list(dict.fromkeys((touched if late else []) + again))
    console.note("No longer watching.")
