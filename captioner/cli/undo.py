"""`captioner undo`: out of the photos and sidecars what captioner wrote there."""

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
from captioner.cli.write import KeepTimes, NoSync, record, refresh

if TYPE_CHECKING:
    from captioner.index.writes import Writes
    from captioner.types import Failure, Photo


def undo(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Photos, folders, or - for paths on standard input; all that was written if none.",
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
    """Take back exactly what captioner wrote, and nothing else.

    A file that nobody has changed since becomes what it was, to the byte, wherever it is now. A
    sidecar that others have edited keeps their words and loses captioner's. A photo that others
    have changed is left alone, and named. --dry-run prints one line per file: its path and its
    caption before and after, separated by tabs.

    \b
    Examples:
      captioner undo holiday/
      captioner undo
    """
    from captioner.app_paths import database_path
    from captioner.metadata.writer import Options, State, Writer
    from captioner.types import Failure

    console.configure_output(quiet=quiet, log_file=log_file)
    given = InputPaths(paths or [], nul=nul)
    how = Options(dry_run=dry_run, sync=not no_sync, keep_times=keep_times)
    tally: Counter[State] = Counter()
    # Without an index, photos that are named are still known by the mark in them.
    remedy = "Name the one that the captions were written from with --db, or the photos."
    remedy = "" if given.arguments else remedy
    with updating.to_write(database or database_path(), remedy=remedy) as index:
        records = index.writes(sync=how.sync)
        photos = (
            updating.walk_all(given, chain(*records.photo_paths().values()))
            if given.arguments
            else _written(records)
        )
        with (
            finishing() as stop,
            Writer(records, how) as writer,
            progress(quiet=dry_run) as bar,
        ):
            for photo in takewhile(lambda _: not stop(), photos):
                path = given.spelled(photo.path)
                if isinstance(photo, Failure):
                    tally[State.REFUSED] += 1
                    console.cannot_read(path, photo.reason)
                    if as_json:
                        console.json_line({"path": path, "error": photo.reason})
                    continue
                for outcome in writer.undo(photo.path):
                    tally[outcome.state] += 1
                    if as_json:
                        console.json_line(record(given, outcome, dry_run=dry_run))
                    elif dry_run and outcome.state is State.UNDONE:
                        console.line(
                            given.spell_beside(outcome.target, outcome.photo),
                            outcome.before,
                            outcome.after,
                        )
                    if outcome.refused:
                        where = console.shown(given.spell_beside(outcome.target, outcome.photo))
                        console.warning(f"{where} is left as it is: {outcome.refused}")
                    elif outcome.in_place and not dry_run:
                        refresh(records, photo)
                bar.done(path)
    would = "would be " if dry_run else ""
    console.note(f"{console.counted(tally[State.UNDONE], 'file')} {would}taken back.")
    if stop():
        console.note("Stopped: the same command goes on from there.")
        raise typer.Exit(stop.exit_code)
    if tally[State.REFUSED]:
        console.note(f"{console.counted(tally[State.REFUSED], 'file')} left unchanged.")
        raise typer.Exit(1)


def _written(records: Writes) -> Iterator[Photo | Failure]:
    """The photos that were written, where they were then or where the index has met them since."""
    from captioner.types import Photo

    seen = set()
    missing = 0
    for places in records.photo_paths().values():
        there = [(path, found) for path in sorted(places) if (found := _regular(path))]
        missing += not there
        for path, found in there:
            if path not in seen:
                seen.add(path)
                yield Photo.of(path, found)
    if missing:
        console.note(
            f"{console.counted(missing)} no longer where captioner wrote: name the folder where "
            "they are now, or let `captioner index` find them."
        )


def _regular(path: Path) -> os.stat_result | None:
    """What the system says of a file; None where there is none, or it cannot be reached."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
