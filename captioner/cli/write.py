"""`captioner write`: captions from the index into photos or sidecars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sized
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from captioner.cli import console, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.cli.progress import progress

if TYPE_CHECKING:
    from captioner.index import Index
    from captioner.metadata.outcome import UnreadableMetadata, WriteOptions, WriteOutcome
    from captioner.types import Failure, Photo
    from captioner.writing import WriteSelection

NoSync = Annotated[
    bool,
    typer.Option(
        "--no-sync", help="Do not wait for the disk: faster, but a power cut may lose files."
    ),
]
KeepTimes = Annotated[
    bool,
    typer.Option(
        "--keep-times",
        help="Keep modification times; other programs may then not notice the changes.",
    ),
]


_WOULD = {"written": "would_write", "undone": "would_undo"}


def write(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Photos, folders, or - for paths on standard input (default: all in the index).",
        ),
    ] = None,
    *,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place/--sidecar",
            help="Write into JPEG, PNG, WebP and TIFF files themselves, or into sidecars "
            "(photo.jpg.xmp). Photos that cannot be written in place get a sidecar.",
        ),
    ] = False,
    field: Annotated[
        Literal["description", "alt", "both"],
        typer.Option(
            metavar="NAME",
            help="Write the caption as description, alt (alternative text), or both.",
        ),
    ] = "description",
    keywords: options.Keywords = None,
    existing: Annotated[
        Literal["skip", "replace", "append"],
        typer.Option(
            metavar="WHAT",
            help="If there is a caption: skip the photo, replace captioner's own, or append.",
        ),
    ] = "skip",
    min_confidence: options.MinConfidence = None,
    dry_run: options.DryRun = False,
    keep_times: KeepTimes = False,
    no_sync: NoSync = False,
    as_json: options.Json = False,
    nul: options.Null = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
) -> None:
    """Write captions from the index into photos or sidecars, where other programs can read them.

    Captions written by a person are never replaced: such photos are skipped. So are photos whose
    metadata cannot be read reliably, since it may contain such a caption. `captioner undo` restores
    every file byte for byte. docs/metadata.md lists what is written where. --dry-run prints one
    line per file: its path, and its caption before and after, separated by tabs.

    \b
    Examples:
      captioner write holiday/ --dry-run
      captioner write holiday/
      captioner write holiday/ --in-place --keywords 5
    """
    from captioner.app_paths import database_path
    from captioner.metadata.outcome import WriteOptions
    from captioner.photos.walk import walk
    from captioner.writing import WriteSelection

    console.configure_output(quiet=quiet, log_file=log_file)
    write_options = WriteOptions(
        in_place=in_place,
        existing=existing,
        dry_run=dry_run,
        sync=not no_sync,
        keep_times=keep_times,
    )
    inputs = InputPaths(paths or [], nul=nul)
    remedy = "Create one with `captioner index FOLDER`."
    with updating.open_for_writing(database or database_path(), remedy=remedy) as index:
        photos = (
            updating.walk_all(inputs, index.described_paths())
            if inputs.arguments
            else walk(index.described_paths())
        )
        selection = WriteSelection(field, keywords or 0, min_confidence or 0)
        with finishing() as stop:
            tally = write_all(
                index, photos, inputs, selection, write_options, stop, as_json=as_json
            )
    if stop():
        raise typer.Exit(stop.exit_code)
    if tally["failed"]:
        raise typer.Exit(1)


def write_all(
    index: Index,
    photos: Iterable[Photo | Failure],
    inputs: InputPaths,
    selection: WriteSelection,
    write_options: WriteOptions,
    stop: Callable[[], bool] = lambda: False,
    *,
    as_json: bool = False,
) -> Counter[str]:
    """Write the captions of photos, report each, and count the photos by what became of them.

    Parameters
    ----------
    stop
        Called before each photo; stops if it returns True.
    """
    from captioner.types import Failure
    from captioner.writing import IndexWriter, NothingToWrite

    dry_run = write_options.dry_run
    tally: Counter[str] = Counter()
    table = (
        Table() if write_options.dry_run and not as_json and console.stdout_is_terminal() else None
    )
    with IndexWriter(index, write_options, selection) as writer, progress(quiet=dry_run) as bar:
        if isinstance(photos, Sized):
            bar.planned(len(photos))
        for photo in takewhile(lambda _: not stop(), photos):
            path = inputs.spelled(photo.path)
            result: dict[str, object]
            if isinstance(photo, Failure):
                kind, result = "failed", {"path": path, "error": photo.reason}
                console.cannot_read(path, photo.reason)
            elif isinstance(outcome := writer.write(photo), NothingToWrite):
                kind, result = outcome.value, {"path": path, "state": outcome.value}
            else:
                kind, result = _kind(outcome), record(inputs, outcome, dry_run=dry_run)
                _report(inputs, outcome, table, dry_run=dry_run and not as_json)
            tally[kind] += 1
            if as_json:
                console.json_line(result)
            bar.done(path)
    if table:
        table.print()
    console.note(_summary(tally, dry_run=dry_run))
    if stop():
        console.note("Stopped: run the same command again to continue.")
    return tally


def record(inputs: InputPaths, outcome: WriteOutcome, *, dry_run: bool) -> dict[str, object]:
    """An outcome as JSON.

    In a dry run `state` is `would_write` or `would_undo` instead of `written` or `undone`.
    """
    state = outcome.status.value
    result: dict[str, object] = {
        "path": inputs.spelled(outcome.photo),
        "file": inputs.spell_beside(outcome.target, outcome.photo),
        "state": _WOULD.get(state, state) if dry_run else state,
        "before": outcome.before,
        "after": outcome.after,
    }
    if outcome.not_in_place:
        result["not_in_place"] = outcome.not_in_place.reason.name.lower()
    if outcome.omitted:
        result["left"] = list(outcome.omitted)
    if outcome.unreadable:
        result["unread"] = inputs.spell_beside(outcome.unreadable.path, outcome.photo)
        result["unread_because"] = str(outcome.unreadable.reason)
    if outcome.error:
        result["error"] = str(outcome.error)
    return result


class Table:
    """Captions before and after, as a table for terminals."""

    def __init__(self) -> None:
        from rich.table import Table as RichTable

        self._table = RichTable("File", "Before", "After", show_lines=True)

    def add(self, file: str, before: str, after: str) -> None:
        """Add one file."""
        from rich.text import Text

        shown = (console.shown(file), *map(console.shown_lines, (before, after)))
        self._table.add_row(*map(Text, shown))

    def print(self) -> None:
        """Print the table to stdout."""
        from rich.console import Console

        Console().print(self._table)


def _report(
    inputs: InputPaths, outcome: WriteOutcome, table: Table | None, *, dry_run: bool
) -> None:
    from captioner.metadata.outcome import WriteStatus

    path, file = inputs.spelled(outcome.photo), inputs.spell_beside(outcome.target, outcome.photo)
    if dry_run and outcome.status is WriteStatus.WRITTEN:
        if table:
            table.add(file, outcome.before, outcome.after)
        else:
            fields = (file, outcome.before, outcome.after)
            console.line(*(field.replace("\t", " ").replace("\n", " ") for field in fields))
    if outcome.error:
        in_photo = f" The photo itself: {outcome.not_in_place}" if outcome.not_in_place else ""
        console.warning(f"cannot write {console.shown(path)}: {outcome.error}{in_photo}")
    elif outcome.unreadable:
        console.warning(_unreadable(path, outcome.unreadable, outcome.before))
    elif outcome.not_in_place and outcome.status is WriteStatus.WRITTEN:
        console.note(f"{console.shown(path)}: written to a sidecar, since {outcome.not_in_place}")
    elif outcome.omitted:
        blocks = " and ".join(outcome.omitted)
        console.note(
            f"{console.shown(path)}: written to XMP but not to {blocks}, for lack of space or "
            "because of a different text encoding."
        )


def _unreadable(path: str, unreadable: UnreadableMetadata, before: str) -> str:
    """Why a photo is skipped that may have a caption by a person."""
    name = unreadable.path.name
    where = "the photo" if name == Path(path).name else console.shown(name)
    caption = f" ({console.shown(before)})" if before else ""
    return (
        f"skipped {console.shown(path)}: {where} may contain a caption by a person{caption} and "
        f"cannot be read reliably: {unreadable.reason}"
    )


def _kind(outcome: WriteOutcome) -> str:
    """How the outcome of one photo is counted."""
    from captioner.metadata.outcome import WriteStatus

    match outcome.status:
        case WriteStatus.WRITTEN:
            return "in_place" if outcome.is_photo else "sidecar"
        case WriteStatus.REFUSED:
            return "failed"
        case status:
            return status.value


def _summary(tally: Counter[str], *, dry_run: bool) -> str:
    if not tally:
        return "No photos found."
    would = "would be " if dry_run else ""
    phrases = (
        ("in_place", f"{would}written in place"),
        ("sidecar", f"{would}written to sidecars"),
        ("same", "already written"),
        ("kept", "skipped: captioner's earlier caption kept (--existing replace replaces it)"),
        ("skipped", "skipped: already captioned by a person"),
        ("unsure", "skipped: confidence too low"),
        ("unknown", "not in the index (run `captioner index`)"),
        ("changed", "changed since indexing (run `captioner index` again)"),
        ("failed", "could not be written"),
    )
    parts = [f"{tally[kind]:,} {phrase}" for kind, phrase in phrases if tally[kind]]
    return f"{console.counted(sum(tally.values()))}: {', '.join(parts)}."
