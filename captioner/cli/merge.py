"""`captioner merge`: brings indexes and Parquet parts together in one index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, updating
from captioner.cli.interrupt import finishing

if TYPE_CHECKING:
    from captioner.index import OtherPicture


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

    Each photo keeps its path, and is the same photo if path and content are. Captions that people
    wrote about it are kept from all sides. Two contents at one path are two pictures: the newer one
    is kept, and no caption of yours moves from one to the other. A picture that you captioned in
    the index stays even if it is older. Whatever is not taken over is listed. Merging a part again
    changes nothing, and neither the parts nor any photos are written.

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
        for other in summary.others:
            console.warning(_spelled(other))
        counts = (
            f"{console.counted(summary.added)} added, {summary.updated:,} updated, "
            f"{summary.unchanged:,} unchanged."
        )
        console.note(counts)
        console.note(f"{opened.path} holds {updating.spell_counts(opened.counts())}.")
    if stop():
        console.note("Interrupted: run the same command again to continue.")
        raise typer.Exit(stop.exit_code)


def _spelled(other: OtherPicture) -> str:
    path, source = console.shown(other.path), console.shown(other.source)
    captions = ", ".join(f'"{console.shown(text)}"' for text in other.captions)
    if other.here:
        return (
            f"{path} is another, newer picture in {source}. The one here is kept for your caption "
            f"{captions}. To take the newer one, remove it with `captioner edit --remove`, and "
            "merge again."
        )
    return (
        f"{path} is another, older picture in {source}. It is not taken over, and your caption "
        f"{captions} stays in {source}."
    )
