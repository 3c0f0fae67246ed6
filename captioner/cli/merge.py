"""`captioner merge`: brings indexes and Parquet parts together in one index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, options, updating
from captioner.cli.interrupt import finishing


def merge(
    parts: Annotated[
        list[Path],
        typer.Argument(
            metavar="PART...", help="Databases, Parquet parts, and folders of Parquet parts."
        ),
    ],
    *,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Merge indexes and parts that were made elsewhere into one index.

    Each photo keeps its path, and is the same photo if path and content are. Of two contents at one
    path, the newer one is kept. Captions and keywords that people wrote are kept from all sides.
    Merging a part again changes nothing, and neither the parts nor any photos are written.

    All parts must have been described by the same model. Parts are what
    `captioner index --executor ray` leaves in its staging folder when it is interrupted; reading
    them needs `pip install 'captioner[export]'`.

    \b
    Examples:
      captioner merge laptop.db nas.db --db all.db
      captioner merge staging/ --db photos.db
    """
    from captioner.app_paths import database_path
    from captioner.merging import merge as merge_all

    console.configure_output(quiet=quiet, log_file=log_file)
    with updating.open_for_writing(database or database_path()) as opened:
        with finishing() as stop:
            summary = merge_all(opened, parts, stop=stop)
        counts = (
            f"{console.counted(summary.added)} added, {summary.updated:,} updated, "
            f"{summary.unchanged:,} unchanged."
        )
        console.note(counts)
        console.note(f"{opened.path} holds {updating.spell_counts(opened.counts())}.")
    if stop():
        console.note("Interrupted: run the same command again to continue.")
        raise typer.Exit(stop.exit_code)
