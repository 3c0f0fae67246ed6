"""`captioner index`: folders into the database, only what is new or changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, loading, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths, relative_to_roots
from captioner.errors import UsageError

_REMEDY = (
    "Connect its drive; or if it was deleted, remove its photos from the index with "
    "`captioner forget {}`."
)

if TYPE_CHECKING:
    from captioner.index import Index
    from captioner.indexing import UpdateOptions
    from captioner.photos.walk import Selection
    from captioner.types import Photo, RecognisedPhoto


def index(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR...]",
            help="Folders, photos, or - for paths on standard input, one per line; "
            "the folders indexed before if none.",
        ),
    ] = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write the captions, too, as `captioner write` does.")
    ] = False,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="With --write: into the photos, not beside them.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what could not be read before.")
    ] = False,
    recaption: Annotated[
        bool,
        typer.Option(
            "--recaption",
            help="Describe again what another model described, from what the index keeps of each "
            "photo where the two models see alike; with --min-confidence, all.",
        ),
    ] = False,
    dry_run: options.DryRun = False,
    nul: options.Null = False,
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
    """Describe photos and store the descriptions in the index.

    Photos that the index holds are not opened again unless their size or date has changed. Those
    that were moved or renamed keep all that is known of them, and copies take it over. What is
    gone is marked as missing, and what an ignore file names now as ignored: neither is found by
    searches, and only `captioner prune` or `captioner forget` removes them. An interrupted run
    keeps what it has done; the same command goes on from there.

    Captions, titles, keywords, dates and places in sidecar files (photo.jpg.xmp, photo.xmp, and
    Google Takeout's photo.jpg.json) are indexed with the photo, and again when a sidecar changes.

    --dry-run prints one line per photo: what would be done, its path and, of a photo that was
    moved or copied, the path of the other one, separated by tabs.

    Below a folder, what is hidden is passed over, and what a .captionerignore file in it or above
    it names, in the syntax of .gitignore. A photo that is reached in several ways is taken once.

    \b
    Examples:
      captioner index ~/Pictures
      captioner index holiday/ --db holiday.db
      captioner index
    """
    from captioner import model as models
    from captioner.app_paths import database_path
    from captioner.indexing import UpdateOptions
    from captioner.model.options import DescribeOptions
    from captioner.photos.walk import Selection

    if in_place and not write:
        raise UsageError("--in-place requires --write.", "Add --write, or leave out --in-place.")
    console.configure_output(quiet=quiet, log_file=log_file)
    path = database or database_path()
    selection = Selection(tuple(exclude or ()), include_hidden)
    weights = models.weights(model) if recaption else None
    if weights and min_confidence is not None:
        # What the same model said was held to another threshold: nothing stands as it is.
        weights = replace(weights, model_id=None)
    how = UpdateOptions(retry_failed, weights)
    load = partial(
        loading.load,
        DescribeOptions(
            bundle=model,
            device=device,
            precision=precision,
            batch_size=batch_size,
            min_confidence=min_confidence,
        ),
    )
    if dry_run:
        with _as_it_is(path) as opened:
            given = _given(paths, opened, nul=nul)
            _preview(opened, given, how, selection, everywhere=not paths)
        return
    unwritten = 0
    with updating.to_write(path) as opened:
        given = _given(paths, opened, nul=nul)
        found: list[Photo] = []
        with finishing() as stop:
            summary = updating.update(
                opened,
                given,
                load,
                how,
                selection,
                stop,
                found=found if write else None,
                everywhere=not paths,
            )
            if write and not summary.stopped:
                unwritten = _write(
                    opened, found, given, stop, in_place=in_place, min_confidence=min_confidence
                )
        if not summary.stopped:
            updating.note_emptied(opened.empty_roots())
        console.note(f"{opened.path} holds {updating.content(opened.counts())}.")
    if stop():
        raise typer.Exit(stop.exit_code)
    if summary.failed or unwritten:
        raise typer.Exit(1)


def _write(
    opened: Index,
    photos: list[Photo],
    given: InputPaths,
    stop: Callable[[], bool],
    *,
    in_place: bool,
    min_confidence: float | None,
) -> int:
    """Write the captions of photos, and say how many could not be written."""
    from captioner.cli.write import WriteSelection, write_all
    from captioner.metadata.outcome import WriteOptions

    photos = list(dict.fromkeys(photos))
    write_options = WriteOptions(in_place=in_place)
    selection = WriteSelection(min_confidence=min_confidence or 0)
    return write_all(opened, photos, given, selection, write_options, stop)["failed"]


def _given(paths: list[str] | None, opened: Index, *, nul: bool) -> InputPaths:
    from captioner.photos.path_errors import explain_link

    if paths:
        return InputPaths(paths, nul=nul)
    roots = opened.roots()
    if not roots and not opened.counts().photos:
        raise UsageError(
            "no folder was named, and none was indexed before.", "captioner index FOLDER does it."
        )
    there = []
    for root in roots:
        name = console.shown(str(root))
        if os.path.exists(root) and not os.path.isdir(root):  # noqa: PTH110, PTH112 (may raise)
            forget = f"`captioner forget {name}`"
            console.note(f"{name} is not a folder any more. Remove its photos with {forget}.")
        elif not _is_absent(root):
            there.append(os.fspath(root))
        elif broken := explain_link(root):
            console.note(f"{name} cannot be indexed: {broken} {_REMEDY.format(name)}")
        else:
            console.note(f"{name} no longer exists. {_REMEDY.format(name)}")
    return InputPaths(there, nul=nul)


def _is_absent(root: Path) -> bool:
    """Whether a folder is known not to exist, which a lack of permission does not show."""
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@contextmanager
def _as_it_is(path: Path) -> Iterator[Index]:
    """The index for reading, an empty one where there is none yet."""
    from tempfile import TemporaryDirectory

    from captioner.index import Index

    if path.exists():
        with Index.open(path) as opened:
            yield opened
        return
    with (
        TemporaryDirectory(prefix="captioner-") as scratch,
        Index.open(Path(scratch) / "blank.db", write=True) as opened,
    ):
        yield opened


def _preview(
    opened: Index, given: InputPaths, how: UpdateOptions, selection: Selection, *, everywhere: bool
) -> None:
    """Print a line for each photo that something would be done about: what, and its path."""
    from captioner.deduplication import unrecognised
    from captioner.index import Change, ScannedPaths
    from captioner.index.database import path_key
    from captioner.indexing import plan_update, vanished
    from captioner.photos.walk import listings

    roots: list[Path] = []
    skipped = updating.Skipped(given)
    made = plan_update(
        opened, listings(updating.noted(given, roots), selection, skipped), how, below=roots
    )
    copies: dict[Photo, bytes] = {}
    left: set[Path] = set()
    lines = 0

    def tell(what: str, *paths: Path) -> None:
        nonlocal lines
        lines += 1
        console.line(
            what, *(given.spelled(relative_to_roots(path, roots) or path) for path in paths)
        )

    def kept(one: RecognisedPhoto) -> None:
        if one.change == "moved":
            left.add(one.source)
        if one.change != "same":
            tell(one.change, one.photo.path, one.source)

    skipped.sum_up()
    for failure in made.unreadable:
        console.cannot_read(given.spelled(failure.path), failure.reason)
    for photo in made.sidecars:
        tell(Change.SIDECAR.value, photo.path)
    for photo in unrecognised(opened, made.todo, opened.recognise, copies, done=kept):
        tell(made.todo[photo].value, photo.path)
    for photo in copies:
        tell("copied", photo.path)
    walked = ScannedPaths.classify(map(path_key, roots), everywhere=everywhere)
    for lost in vanished(opened, made, walked):
        if lost.path not in left:
            tell(lost.reason, lost.path)
    if made.recaption:
        console.note(f"{console.counted(len(made.recaption))} would be described again, unopened.")
    console.note(
        f"{console.counted(lines)} to deal with, {made.scan.unchanged:,} unchanged. "
        "Nothing was written."
    )
