"""`captioner watch`: an index that stays in step with its folders."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import typer

from captioner.cli import console, loading, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.errors import DatabaseUnavailableError

_AGAIN = 30
"""Seconds between two tries to use a database that is not available."""


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
    """Index folders and keep the index up to date, until Ctrl-C.

    Folders that links lead to are watched, too. A folder that is deleted, or whose drive is
    disconnected, is watched again when it returns. Where the system does not notify of changes,
    as on network drives, the folders are looked into every few seconds instead.

    \b
    Example:
      captioner watch ~/Pictures
    """
    from captioner.app_paths import database_path
    from captioner.index import mounts
    from captioner.indexing import UpdateOptions
    from captioner.model.options import DescribeOptions
    from captioner.photos.walk import Selection
    from captioner.photos.watch import Watcher

    console.configure_output(quiet=quiet, log_file=log_file)
    path = database or database_path()
    selection = Selection(tuple(exclude or ()), include_hidden)
    told: set[tuple[str, str]] = set()
    trouble = ""

    load = cache(
        partial(
            loading.load,
            DescribeOptions(
                bundle=model,
                device=device,
                precision=precision,
                batch_size=batch_size,
                min_confidence=min_confidence,
            ),
        )
    )

    def update(touched: list[str]) -> bool:
        """Whether that could be done now."""
        nonlocal trouble
        if not os.path.exists(path):  # noqa: PTH110 (may raise)
            touched = paths  # a new database is to hold all photos
        try:
            there = [folder for folder in touched if os.path.isdir(folder)]  # noqa: PTH112
            with updating.to_write(path) as index:
                updating.update(
                    index,
                    InputPaths(there),
                    load,
                    UpdateOptions(),
                    selection,
                    stop,
                    told=told,
                    everywhere=there != touched,
                    stamped=True,
                )
                named = {os.path.abspath(folder) for folder in there}  # noqa: PTH100
                updating.note_emptied(one for one in index.empty_roots() if str(one[0]) in named)
        except DatabaseUnavailableError as error:
            if error.reason != trouble:  # said once, however long it lasts
                trouble = error.reason
                console.error(error.reason, f"Trying again every {_AGAIN} seconds.")
            return False
        trouble = ""
        return True

    watcher = Watcher(
        paths,
        lambda line: console.note(console.shown(line)),
        network=mounts.network_filesystem,
        mounted=mounts.mount_points,
        include_hidden=include_hidden,
    )
    with watcher, finishing() as stop:
        # What changes from here on is noticed, even while the folders are indexed first.
        names = ", ".join(map(console.shown, paths))
        number = console.counted(watcher.folder_count, "folder")
        console.note(f"Watching {names} ({number} in all). Press Ctrl-C to stop.")
        touched = list(paths)
        while not stop():
            late = not update(touched)
            again = watcher.wait_for_changes(settle, stop, timeout=_AGAIN if late else None)
            touched = list(dict.fromkeys((touched if late else []) + again))
    console.note("Stopped watching.")
