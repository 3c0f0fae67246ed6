"""`captioner undo`: restores photos and sidecars as they were before captioner wrote to them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.cli.progress import progress
from captioner.cli.write import KeepTimes, NoSync, record

if TYPE_CHECKING:
    from captioner.index.writes import Writes
    from captioner.types import Failure, Photo


def undo(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Photos, folders, or - for paths on standard input (default: everything "
            "that captioner wrote).",
        ),
    ] = None,
    *,
    dry_run: options.DryRun = False,
    keep_times: KeepTimes = False,
    no_sync: NoSync = False,
    as_json: options.Json = False,
    nul: options.Null = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Undo exactly what captioner wrote, and nothing else.

    A file that has not changed since captioner wrote it is restored byte for byte, even if it was
    moved. A sidecar that has been edited since then keeps the edits and loses only what captioner
    wrote. A photo that has been edited since then is left unchanged, and reported. --dry-run prints
    one line per file: its path, and its caption before and after, separated by tabs.

    \b
    Examples:
      captioner undo holiday/
      captioner undo
    """
    from captioner.app_paths import database_path
    from captioner.metadata.outcome import WriteOptions, WriteStatus
    from captioner.types import Failure
    from captioner.writing import IndexWriter

    console.configure_output(quiet=quiet, log_file=log_file)
    inputs = InputPaths(paths or [], nul=nul)
    write_options = WriteOptions(dry_run=dry_run, sync=not no_sync, keep_times=keep_times)
    tally: Counter[WriteStatus] = Counter()
    # Without an index, captioner's mark in the named files still shows what it wrote.
    remedy = "Name the index that the captions came from with --db, or name the photos."
    remedy = "" if inputs.arguments else remedy
    with updating.open_for_writing(database or database_path(), remedy=remedy) as index:
        records = index.writes(sync=not no_sync)
        photos = (
            updating.walk_all(inputs, chain(*records.photo_paths().values()))
            if inputs.arguments
            else _written(records)
        )
        with (
            finishing() as stop,
            IndexWriter(index, write_options) as writer,
            progress(quiet=dry_run) as bar,
        ):
            for photo in takewhile(lambda _: not stop(), photos):
                path = inputs.spelled(photo.path)
                if isinstance(photo, Failure):
                    tally[WriteStatus.REFUSED] += 1
                    console.cannot_read(path, photo.reason)
                    if as_json:
                        console.json_line({"path": path, "error": photo.reason})
                    continue
                for outcome in writer.undo(photo):
                    tally[outcome.status] += 1
                    if as_json:
                        console.json_line(record(inputs, outcome, dry_run=dry_run))
                    elif dry_run and outcome.status is WriteStatus.UNDONE:
                        console.line(
                            inputs.spell_beside(outcome.target, outcome.photo),
                            outcome.before,
                            outcome.after,
                        )
                    if outcome.error:
                        where = console.shown(inputs.spell_beside(outcome.target, outcome.photo))
                        console.warning(f"{where} is left unchanged: {outcome.error}")
                bar.done(path)
    would = "would be " if dry_run else ""
    console.note(f"{console.counted(tally[WriteStatus.UNDONE], 'file')} {would}restored.")
    if stop():
        console.note("Stopped: run the same command again to continue.")
        raise typer.Exit(stop.exit_code)
    if tally[WriteStatus.REFUSED]:
        console.note(f"{console.counted(tally[WriteStatus.REFUSED], 'file')} left unchanged.")
        raise typer.Exit(1)


def _written(records: Writes) -> Iterator[Photo | Failure]:
    """The photos that were written, where they were or where the index has found them since."""
    from captioner.types import Photo

    yielded = set()
    missing = 0
    for paths in records.photo_paths().values():
        existing = [(path, found) for path in sorted(paths) if (found := _regular(path))]
        missing += not existing
        for path, found in existing:
            if path not in yielded:
                yielded.add(path)
                yield Photo.of(path, found)
    if missing:
        console.note(
            f"{console.counted(missing)} not found at the recorded path: name the new folder, or "
            "run `captioner index` on it first."
        )


def _regular(path: Path) -> os.stat_result | None:
    """The status of a regular file; None if there is none, or it is not accessible."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
