"""One update of an index with progress and a summary, for `index` and `watch`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.cli import console
from captioner.cli.progress import progress
from captioner.errors import UsageError
from captioner.pace import spell_pace, spell_time

if TYPE_CHECKING:
    from captioner.cli.paths import InputPaths
    from captioner.execution import Executor
    from captioner.index import Counts, Index
    from captioner.indexing import Result, UpdateOptions, UpdateSummary
    from captioner.photos.walk import Selection
    from captioner.types import Describer, Failure, Listing, Photo

_NETWORK = (
    "{path} is on a network drive ({kind}): searches wait for writes there, and two "
    "machines that use it at the same time may corrupt it. Keep it on a local disk, with --db or "
    "CAPTIONER_DB."
)
_CONTINUE = "run the same command again to continue."


def open_for_writing(path: Path, *, remedy: str = "") -> Index:
    """Open an index for writing, with a warning if it is on a network drive.

    Parameters
    ----------
    remedy
        What to do if there is no index; if empty, a new index is created.

    Raises
    ------
    UsageError
        If there is none, and `remedy` is not empty.
    """
    from captioner.index import Index

    if remedy and not path.exists():
        raise UsageError(f"there is no index at {path}.", remedy)
    index = Index.open(path, write=True)
    warn_of_network(index)
    return index


def warn_of_network(index: Index) -> None:
    """Warn about a database on a network drive."""
    if index.network_filesystem:
        console.warning(
            _NETWORK.format(path=console.shown(str(index.path)), kind=index.network_filesystem)
        )


def update(
    index: Index,
    inputs: InputPaths,
    load: Callable[[int], Describer],
    options: UpdateOptions,
    selection: Selection,
    stop: Callable[[], bool],
    *,
    reported: set[tuple[str, str]] | None = None,
    found: list[Photo] | None = None,
    everywhere: bool = False,
    with_time: bool = False,
    executor: Callable[[], Executor] | None = None,
) -> UpdateSummary:
    """Bring an index up to date with the input paths, and print a summary.

    Parameters
    ----------
    load
        Loads the model, given how many photos there are to describe at most.
    selection
        Which files in the folders to skip.
    stop
        Returns True once the user has asked to stop.
    reported
        Path and reason of failures that were reported before; they are not reported again.
    found
        Collects the photos that the walk finds.
    everywhere
        Look for missing photos outside the input paths, too.
    with_time
        Print the time of day with the summary.
    executor
        Gives the executor that describes; None: what suits this machine.
    """
    from captioner import indexing
    from captioner.cli import executors
    from captioner.photos.walk import listings
    from captioner.types import Description, Failure, Listing

    roots: list[Path] = []
    start = time.monotonic()
    described = total = 0
    skipped = Skipped(inputs, reported)

    def walked() -> Iterator[Listing | Failure]:
        for one in listings(collecting(inputs, roots), selection, skipped):
            if found is not None and isinstance(one, Listing):
                found.extend(one)
            yield one

    def planned(number: int) -> None:
        nonlocal total
        total = number
        bar.planned(number)

    def loaded() -> Describer:
        with bar.preparing("loading the model"):
            return load(total)

    def report(result: Result) -> None:
        nonlocal described
        described += isinstance(result, Description)
        path = inputs.spelled(result.path if isinstance(result, Failure) else result.photo.path)
        if isinstance(result, Failure) and (path, result.reason) not in (reported or ()):
            console.cannot_read(path, result.reason)
            if reported is not None:
                reported.add((path, result.reason))
        bar.done(path)

    def warn(sidecar: Path, reason: str) -> None:
        path = inputs.spelled(sidecar)
        if reported is None or (path, reason) not in reported:
            console.warning(f"cannot read {console.shown(path)}: {reason}")
            if reported is not None:
                reported.add((path, reason))

    try:
        with progress() as bar:
            summary = indexing.update(
                index,
                walked(),
                loaded,
                roots=roots,
                everywhere=everywhere,
                options=options,
                planned=planned,
                progress=report,
                stop=stop,
                warn=warn,
                executor=executor or executors.chosen("auto"),
            )
    except KeyboardInterrupt:
        console.note(f"{console.counted(described)} indexed; {_CONTINUE}")
        raise
    skipped.sum_up()
    line = spell_summary(summary, time.monotonic() - start)
    console.note(f"{time.strftime('%H:%M:%S')} {line}" if with_time else line)
    if summary.stopped:
        console.note(f"Stopped: {_CONTINUE}")
    return summary


class Skipped:
    """Reports what a walk skips: the first few paths, and how many more there were.

    Parameters
    ----------
    reported
        Paths and reasons that were reported before; they are not reported again.
    """

    _LINES = 10

    def __init__(self, inputs: InputPaths, reported: set[tuple[str, str]] | None = None) -> None:
        self._inputs = inputs
        self._reported = reported
        self._number = 0

    def __call__(self, path: Path, reason: str) -> None:
        """Report one path, and why it is skipped."""
        spelled = self._inputs.spelled(path)
        if self._reported is not None:
            if (spelled, reason) in self._reported:
                return
            self._reported.add((spelled, reason))
        self._number += 1
        if self._number <= self._LINES:
            console.note(f"Skipped {console.shown(spelled)}: {console.shown(reason)}")

    def sum_up(self) -> None:
        """Report how many more there were."""
        if self._number > self._LINES:
            console.note(f"Skipped {self._number - self._LINES:,} more links or special files.")


def note_emptied(emptied: Iterable[tuple[Path, int]]) -> None:
    """Report folders that are empty now, whose photos stay in the index: a drive may be missing."""
    for folder, photos in emptied:
        name = console.shown(str(folder))
        console.note(
            f"{name} is empty; {console.counted(photos)} found there before are kept in the index. "
            f"Connect the drive, or remove them with `captioner forget {name}`."
        )


def walk_all(inputs: InputPaths, known: Iterable[Path]) -> Iterator[Photo | Failure]:
    """The photos in the input paths, then known ones there that a walk skips, such as hidden ones.

    Parameters
    ----------
    known
        Absolute paths; those outside the input paths, or missing, are skipped.
    """
    from captioner.cli.paths import relative_to_roots
    from captioner.photos.walk import walk
    from captioner.system.paths import absolute

    roots: list[Path] = []
    found = set()
    skipped = Skipped(inputs)
    for photo in walk(collecting(inputs, roots), skipped=skipped):
        found.add(absolute(photo.path))
        yield photo
    skipped.sum_up()
    for path in known:
        spelled = relative_to_roots(path, roots)
        if spelled and os.fspath(path) not in found and os.path.isfile(path):  # noqa: PTH113
            yield from walk([spelled])


def collecting(paths: Iterable[Path], into: list[Path]) -> Iterator[Path]:
    """Yield paths, and append them to a list."""
    for path in paths:
        into.append(path)
        yield path


def spell_summary(summary: UpdateSummary, seconds: float) -> str:
    """A summary of an update in one line."""
    done = []
    if summary.described:
        pace = spell_pace(summary.described / seconds)
        done = [f"{console.counted(summary.described)} indexed in {spell_time(seconds)} ({pace})"]
    done += summary.changes()
    if not done:
        if not summary.unchanged:
            return "No photos found."
        return f"Nothing new: {console.counted(summary.unchanged)} unchanged."
    if rest := summary.unchanged - summary.back:
        done.append(f"{rest:,} unchanged")
    if not summary.described:
        done.insert(0, "No photos indexed")
    return ", ".join(done) + "."


def spell_counts(counts: Counts) -> str:
    """What an index contains, in words."""
    parts = [console.counted(counts.photos)]
    if counts.failed:
        parts.append(f"{counts.failed:,} of them unreadable")
    if counts.missing:
        parts.append(f"{counts.missing:,} missing")
    if counts.ignored:
        parts.append(f"{counts.ignored:,} ignored")
    return ", ".join(parts)
