"""`captioner watch`: keeps an index up to date while its folders change."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import Annotated

import typer

from captioner.cli import console, loading, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.errors import DatabaseUnavailableError

_RETRY_SECONDS = 30
"""Between two attempts to open a database that is not available."""


def watch(
    paths: Annotated[list[str], typer.Argument(metavar="FOLDER...", help="Folders to watch.")],
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

    Folders that symbolic links point to are watched, too. A folder that is deleted, or whose drive
    is disconnected, is watched again when it reappears. If the system does not report changes, as
    on network drives, the folders are scanned every few seconds instead.

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
    reported: set[tuple[str, str]] = set()
    reported_reason = ""

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
        """Index changed folders; return whether the database was available."""
        nonlocal reported_reason
        if not os.path.exists(path):  # noqa: PTH110 (may raise)
            touched = paths  # a new database needs all photos
        try:
            existing = [folder for folder in touched if os.path.isdir(folder)]  # noqa: PTH112
            with updating.open_for_writing(path) as index:
                updating.update(
                    index,
                    InputPaths(existing),
                    lambda _: load(),  # once, for however many photos there will be
                    UpdateOptions(),
                    selection,
                    stop,
                    reported=reported,
                    everywhere=existing != touched,
                    with_time=True,
                )
                indexed = {os.path.abspath(folder) for folder in existing}  # noqa: PTH100
                updating.note_emptied(
                    (folder, photos)
                    for folder, photos in index.empty_roots()
                    if str(folder) in indexed
                )
        except DatabaseUnavailableError as error:
            if error.reason != reported_reason:  # reported once, however long it lasts
                reported_reason = error.reason
                console.error(error.reason, f"Trying again every {_RETRY_SECONDS} seconds.")
            return False
        reported_reason = ""
        return True

    watcher = Watcher(
        paths,
        lambda line: console.note(console.shown(line)),
        network=mounts.network_filesystem,
        mounted=mounts.mount_points,
        include_hidden=include_hidden,
    )
    with watcher, finishing() as stop:
        # From here on, changes are recorded, even during the first indexing of the folders.
        names = ", ".join(map(console.shown, paths))
        number = console.counted(watcher.folder_count, "folder")
        console.note(f"Watching {names} ({number} in all). Press Ctrl-C to stop.")
        touched = list(paths)
        while not stop():
            postponed = not update(touched)
            changed = watcher.wait_for_changes(
                settle, stop, timeout=_RETRY_SECONDS if postponed else None
            )
            touched = list(dict.fromkeys((touched if postponed else []) + changed))
    console.note("Stopped watching.")
