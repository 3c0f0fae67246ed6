"""`captioner index`: indexes folders, opening only photos that are new or have changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, executors, loading, options, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths, relative_to_roots
from captioner.errors import UsageError

_REMEDY = (
    "Connect its drive or, if it was deleted, remove its photos from the index with "
    "`captioner forget {}`."
)

if TYPE_CHECKING:
    from captioner.index import Index
    from captioner.indexing import UpdateOptions
    from captioner.photos.walk import Selection
    from captioner.types import Describer, Photo, RecognisedPhoto


def index(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER...]",
            help="Folders, photos, or - for paths on standard input, one per line "
            "(default: all folders indexed before).",
        ),
    ] = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Also write the captions, as `captioner write` does.")
    ] = False,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="With --write: write into the photos instead of sidecars."),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry photos that could not be read earlier.")
    ] = False,
    recaption: Annotated[
        bool,
        typer.Option(
            "--recaption",
            help="Recaption photos captioned by another model, from stored features if the encoder "
            "is the same; with --min-confidence, recaption all.",
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
    executor: options.Executor = "auto",
    staging: options.Staging = None,
) -> None:
    """Describe photos and store the descriptions in the index.

    Photos in the index are not opened again unless their size or modification time has changed.
    Photos that were moved or renamed keep their data, and copies share it. Photos that no longer
    exist are marked as missing, and photos that an ignore file now excludes are marked as ignored:
    searches skip both, and only `captioner prune` and `captioner forget` remove them. An
    interrupted run keeps what it has done; run the same command again to continue.

    Captions, titles, keywords, dates and places in sidecar files (photo.jpg.xmp, photo.xmp, and
    Google Takeout's photo.jpg.json) are indexed with the photo, and again when a sidecar changes.

    --dry-run prints one line per photo: what would be done, its path and, if it was moved or
    copied, the path of the original, separated by tabs.

    In folders, hidden files and folders are skipped, as are those that a .captionerignore file in
    the same folder or above it excludes (.gitignore syntax). A photo reached by several paths is
    indexed once.

    A folder may be a URI that fsspec can read, such as s3://bucket/photos (needs captioner[ray]).
    With --executor ray, the machines of a Ray cluster describe the photos (set RAY_ADDRESS), each
    with captioner and the same paths; this process stores what they have finished. A run that was
    killed goes on with the same command.

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
        raise UsageError("--in-place requires --write.", "Add --write, or omit --in-place.")
    console.configure_output(quiet=quiet, log_file=log_file)
    path = database or database_path()
    selection = Selection(tuple(exclude or ()), include_hidden)
    weights = models.weights(model) if recaption else None
    if weights and min_confidence is not None:
        # Captions by the same model were chosen with another threshold: all are generated again.
        weights = replace(weights, model_id=None)
    update_options = UpdateOptions(retry_failed, weights)
    describe_options = DescribeOptions(
        bundle=model,
        device=device,
        precision=precision,
        batch_size=batch_size,
        min_confidence=min_confidence,
    )

    def load(photos: int) -> Describer:
        return loading.load(replace(describe_options, photos=photos), start=executor != "ray")

    if dry_run:
        with _open_or_empty(path) as opened:
            inputs = _input_paths(paths, opened, nul=nul)
            _preview(opened, inputs, update_options, selection, everywhere=not paths)
        return
    unwritten = 0
    with updating.open_for_writing(path) as opened:
        inputs = _input_paths(paths, opened, nul=nul)
        found: list[Photo] = []
        with finishing() as stop:
            summary = updating.update(
                opened,
                inputs,
                load,
                update_options,
                selection,
                stop,
                found=found if write else None,
                everywhere=not paths,
                executor=executors.chosen(executor, staging, path),
            )
            if write and not summary.stopped:
                unwritten = _write(
                    opened, found, inputs, stop, in_place=in_place, min_confidence=min_confidence
                )
        if not summary.stopped:
            updating.note_emptied(opened.empty_roots())
        console.note(f"{opened.path} holds {updating.spell_counts(opened.counts())}.")
    if stop():
        raise typer.Exit(stop.exit_code)
    if summary.failed or unwritten:
        raise typer.Exit(1)


def _write(
    opened: Index,
    photos: list[Photo],
    inputs: InputPaths,
    stop: Callable[[], bool],
    *,
    in_place: bool,
    min_confidence: float | None,
) -> int:
    """Write the captions of photos; return how many could not be written."""
    from captioner.cli.write import WriteSelection, write_all
    from captioner.metadata.outcome import WriteOptions

    photos = list(dict.fromkeys(photos))
    write_options = WriteOptions(in_place=in_place)
    selection = WriteSelection(min_confidence=min_confidence or 0)
    return write_all(opened, photos, inputs, selection, write_options, stop)["failed"]


def _input_paths(paths: list[str] | None, opened: Index, *, nul: bool) -> InputPaths:
    from captioner.photos.path_errors import explain_link

    if paths:
        return InputPaths(paths, nul=nul)
    roots = opened.roots()
    if not roots and not opened.counts().photos:
        raise UsageError(
            "no folder was named, and none was indexed before.", "Run `captioner index FOLDER`."
        )
    existing = []
    for root in roots:
        name = console.shown(str(root))
        if os.path.exists(root) and not os.path.isdir(root):  # noqa: PTH110, PTH112 (may raise)
            forget = f"`captioner forget {name}`"
            console.note(f"{name} is no longer a folder. Remove its photos with {forget}.")
        elif not _is_absent(root):
            existing.append(os.fspath(root))
        elif broken := explain_link(root):
            console.note(f"{name} cannot be indexed: {broken} {_REMEDY.format(name)}")
        else:
            console.note(f"{name} no longer exists. {_REMEDY.format(name)}")
    return InputPaths(existing, nul=nul)


def _is_absent(root: Path) -> bool:
    """Whether a folder certainly does not exist; an unreadable one may."""
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@contextmanager
def _open_or_empty(path: Path) -> Iterator[Index]:
    """Open the index for reading, or a temporary empty one if there is none yet."""
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
    opened: Index,
    inputs: InputPaths,
    update_options: UpdateOptions,
    selection: Selection,
    *,
    everywhere: bool,
) -> None:
    """Print one line per photo that would be indexed or updated: the change, and its path."""
    from captioner.deduplication import unrecognised
    from captioner.index import Change, ScannedPaths
    from captioner.index.database import path_key
    from captioner.indexing import find_missing, plan_update
    from captioner.photos.walk import listings

    roots: list[Path] = []
    skipped = updating.Skipped(inputs)
    plan = plan_update(
        opened,
        listings(updating.collecting(inputs, roots), selection, skipped),
        update_options,
        below=roots,
    )
    copies: dict[Photo, bytes] = {}
    moved_from: set[Path] = set()
    lines = 0

    def report(change: str, *paths: Path) -> None:
        nonlocal lines
        lines += 1
        console.line(
            change, *(inputs.spelled(relative_to_roots(path, roots) or path) for path in paths)
        )

    def done(recognised: RecognisedPhoto) -> None:
        if recognised.change == "moved":
            moved_from.add(recognised.source)
        if recognised.change != "same":
            report(recognised.change, recognised.photo.path, recognised.source)

    skipped.sum_up()
    for failure in plan.unreadable:
        console.cannot_read(inputs.spelled(failure.path), failure.reason)
    for photo in plan.sidecars:
        report(Change.SIDECAR.value, photo.path)
    for photo in unrecognised(opened, plan.todo, opened.recognise, copies, done=done):
        report(plan.todo[photo].value, photo.path)
    for photo in copies:
        report("copied", photo.path)
    walked = ScannedPaths.classify(map(path_key, roots), everywhere=everywhere)
    for missing in find_missing(opened, plan, walked):
        if missing.path not in moved_from:
            report(missing.reason, missing.path)
    if plan.recaption:
        console.note(
            f"{console.counted(len(plan.recaption))} would be recaptioned without being opened."
        )
    console.note(
        f"{console.counted(lines)} to update, {plan.scan.unchanged:,} unchanged. "
        "Nothing was written."
    )
