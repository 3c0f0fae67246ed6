"""`captioner write`: captions from the index into the photos, or beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, replace
from datetime import datetime
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
    from captioner.index.writes import Writes
    from captioner.metadata.provenance import Words
    from captioner.metadata.writer import Options, Outcome, Unread
    from captioner.types import Failure, Photo, StoredCaption

NoSync = Annotated[
    bool,
    typer.Option(
        "--no-sync", help="Do not wait for the disk: faster, but not safe in a power cut."
    ),
]
KeepTimes = Annotated[
    bool,
    typer.Option(
        "--keep-times",
        help="Keep the files' dates; other programs may then not notice what is new.",
    ),
]


_WOULD = {"written": "would_write", "undone": "would_undo"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which words to write."""

    field: Literal["description", "alt", "both"] = "description"
    keywords: int = 0
    min_confidence: float = 0

    def words(self, known: StoredCaption) -> Words:
        """The words for one photo; those of a person bear no mark of a model."""
        from captioner.metadata.provenance import Words, short

        return Words(
            description=known.text if self.field in ("description", "both") else None,
            alt=short(known.text) if known.text and self.field in ("alt", "both") else None,
            keywords=known.keywords[: self.keywords],
            model=known.model_id,
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
        )


def write(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH...]",
            help="Photos, folders, or - for paths on standard input; all of the index if none.",
        ),
    ] = None,
    *,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place/--sidecar",
            help="Into JPEG, PNG, WebP and TIFF files themselves, or into photo.jpg.xmp beside "
            "them (the default); what cannot be written in place gets a sidecar.",
        ),
    ] = False,
    field: Annotated[
        Literal["description", "alt", "both"],
        typer.Option(metavar="NAME", help="Write the caption as description, alt, or both."),
    ] = "description",
    keywords: options.Keywords = None,
    existing: Annotated[
        Literal["skip", "replace", "append"],
        typer.Option(
            metavar="WHAT",
            help="Where there is a caption: skip it, replace captioner's own, or append.",
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
    """Write captions from the index where other programs read them.

    A person's words are never replaced: a photo that has a caption by somebody else is skipped.
    So is one whose metadata cannot be read for certain, since it may hold such a caption.
    `captioner undo` takes everything back to the byte. docs/metadata.md says what is written where.
    --dry-run prints one line per file: its path and its caption before and after, separated by
    tabs.

    \b
    Examples:
      captioner write holiday/ --dry-run
      captioner write holiday/
      captioner write holiday/ --in-place --keywords 5
    """
    from captioner.app_paths import database_path
    from captioner.metadata.writer import Options
    from captioner.photos.walk import walk

    console.configure_output(quiet=quiet, log_file=log_file)
    how = Options(
        in_place=in_place,
        existing=existing,
        dry_run=dry_run,
        sync=not no_sync,
        keep_times=keep_times,
    )
    given = InputPaths(paths or [], nul=nul)
    remedy = "Make one with `captioner index FOLDER`."
    with updating.to_write(database or database_path(), remedy=remedy) as index:
        photos = (
            updating.walk_all(given, index.described_paths())
            if given.arguments
            else walk(index.described_paths())
        )
        wanted = Wanted(field, keywords or 0, min_confidence or 0)
        with finishing() as stop:
            tally = write_all(index, photos, given, wanted, how, stop, as_json=as_json)
    if stop():
        raise typer.Exit(stop.exit_code)
    if tally["failed"]:
        raise typer.Exit(1)


def write_all(
    index: Index,
    photos: Iterable[Photo | Failure],
    given: InputPaths,
    wanted: Wanted,
    how: Options,
    stop: Callable[[], bool] = lambda: False,
    *,
    as_json: bool = False,
) -> Counter[str]:
    """Write the captions of photos, tell of each, and count what became of them.

    Parameters
    ----------
    stop
        Asked between two photos whether to leave the rest as it is.
    """
    from captioner.metadata.writer import State, Writer
    from captioner.types import Failure

    tally: Counter[str] = Counter()
    table = Table() if how.dry_run and not as_json and console.stdout_is_terminal() else None
    records = index.writes(sync=how.sync)
    with Writer(records, how) as writer, progress(quiet=how.dry_run) as bar:
        if isinstance(photos, Sized):
            bar.planned(len(photos))
        for photo in takewhile(lambda _: not stop(), photos):
            path = given.spelled(photo.path)
            told: dict[str, object]
            if isinstance(photo, Failure):
                kind, told = "failed", {"path": path, "error": photo.reason}
                console.cannot_read(path, photo.reason)
            elif isinstance(known := _known(index, photo, wanted), str):
                kind, told = known, {"path": path, "state": known}
            else:
                outcome = writer.write(photo.path, wanted.words(known))
                kind, told = _kind(outcome), record(given, outcome, dry_run=how.dry_run)
                _tell(given, outcome, table, dry_run=how.dry_run and not as_json)
                if outcome.state is State.WRITTEN and outcome.in_place and not how.dry_run:
                    refresh(records, photo)
            tally[kind] += 1
            if as_json:
                console.json_line(told)
            bar.done(path)
    if table:
        table.print()
    console.note(_sum_up(tally, dry_run=how.dry_run))
    if stop():
        console.note("Stopped: the same command goes on from there.")
    return tally


def _known(index: Index, photo: Photo, wanted: Wanted) -> StoredCaption | str:
    """What the index says about a photo as it is now; else why that is not to be written."""
    known = index.stored_caption(photo.path)
    if not known:
        return "unknown"
    if (known.photo.size, known.photo.mtime_ns) != (photo.size, photo.mtime_ns):
        return "changed"
    if known.text and known.confidence >= wanted.min_confidence:
        return known
    # Keywords are trusted each by itself, whatever became of the sentence.
    return replace(known, text=None) if wanted.keywords and known.keywords else "unsure"


def refresh(records: Writes, before: Photo) -> None:
    """Let the index know a photo as it is now.

    One that was moved or deleted since is left to the next `captioner index`.
    """
    from captioner.hashing import hash_file
    from captioner.types import Photo

    try:
        after = Photo.of(before.path, before.path.stat())
        content_hash = hash_file(before.path)
    except OSError:
        return
    records.update_photo(before, after, content_hash)


def record(given: InputPaths, outcome: Outcome, *, dry_run: bool) -> dict[str, object]:
    """An outcome as an object for programs.

    Of a dry run its `state` is `would_write` or `would_undo` where it would be `written` or
    `undone` otherwise; the other states say what is so now, and are the same.
    """
    state = outcome.state.name.lower()
    told: dict[str, object] = {
        "path": given.spelled(outcome.photo),
        "file": given.spell_beside(outcome.target, outcome.photo),
        "state": _WOULD.get(state, state) if dry_run else state,
        "before": outcome.before,
        "after": outcome.after,
    }
    if outcome.instead:
        told["not_in_place"] = outcome.instead.reason.name.lower()
    if outcome.left:
        told["left"] = list(outcome.left)
    if outcome.unread:
        told["unread"] = given.spell_beside(outcome.unread.path, outcome.photo)
        told["unread_because"] = str(outcome.unread.why)
    if outcome.refused:
        told["error"] = str(outcome.refused)
    return told


class Table:
    """Before and after, for the eye."""

    def __init__(self) -> None:
        from rich.table import Table as RichTable

        self._table = RichTable("File", "Before", "After", show_lines=True)

    def add(self, file: str, before: str, after: str) -> None:
        """Add one file."""
        from rich.text import Text

        shown = (console.shown(file), *map(console.shown_lines, (before, after)))
        self._table.add_row(*map(Text, shown))

    def print(self) -> None:
        """Print the table on stdout."""
        from rich.console import Console

        Console().print(self._table)


def _tell(given: InputPaths, outcome: Outcome, table: Table | None, *, dry_run: bool) -> None:
    from captioner.metadata.writer import State

    path, file = given.spelled(outcome.photo), given.spell_beside(outcome.target, outcome.photo)
    if dry_run and outcome.state is State.WRITTEN:
        if table:
            table.add(file, outcome.before, outcome.after)
        else:
            fields = (file, outcome.before, outcome.after)
            console.line(*(field.replace("\t", " ").replace("\n", " ") for field in fields))
    if outcome.refused:
        inside = f" The photo itself: {outcome.instead}" if outcome.instead else ""
        console.warning(f"{console.shown(path)} is not written: {outcome.refused}{inside}")
    elif outcome.unread:
        console.warning(_unread(path, outcome.unread, outcome.before))
    elif outcome.instead and outcome.state is State.WRITTEN:
        console.note(f"{console.shown(path)}: caption beside it, since {outcome.instead}")
    elif outcome.left:
        where = " and ".join(outcome.left)
        console.note(
            f"{console.shown(path)}: caption in XMP, and not in {where}, which has no room left "
            "or is in another encoding."
        )


def _unread(path: str, unread: Unread, before: str) -> str:
    """Say why a photo is skipped that may have a caption by a person."""
    beside = "" if unread.path.name == Path(path).name else f" in {console.shown(unread.path.name)}"
    seen = f" ({console.shown(before)})" if before else ""
    return (
        f"{console.shown(path)} is skipped: a person's words{seen} may stand{beside} where they "
        f"cannot be read for certain: {unread.why}"
    )


def _kind(outcome: Outcome) -> str:
    from captioner.metadata.writer import State

    match outcome.state:
        case State.WRITTEN:
            return "in_place" if outcome.in_place else "sidecar"
        case State.REFUSED:
            return "failed"
        case state:
            return state.name.lower()


def _sum_up(tally: Counter[str], *, dry_run: bool) -> str:
    if not tally:
        return "No photos found."
    would = "would be " if dry_run else ""
    said = (
        ("in_place", f"{would}written in place"),
        ("sidecar", f"{would}written beside the photo"),
        ("same", "written earlier"),
        ("kept", "skipped: captioner's earlier caption was kept (--existing replace renews it)"),
        ("skipped", "skipped: already captioned by a person"),
        ("unsure", "skipped: confidence too low"),
        ("unknown", "not in the index (`captioner index` describes them)"),
        ("changed", "changed since they were described (`captioner index` describes them again)"),
        ("failed", "could not be written"),
    )
    parts = [f"{tally[kind]:,} {words}" for kind, words in said if tally[kind]]
    return f"{console.counted(sum(tally.values()))}: {', '.join(parts)}."
