"""One update of an index for a person to watch: what `index` does once and `watch` again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.cli import console
from captioner.cli.progress import progress, spell_pace, spell_time
from captioner.errors import UsageError

if TYPE_CHECKING:
    from captioner.cli.paths import InputPaths
    from captioner.index import Counts, Index
    from captioner.indexing import Result, UpdateOptions, UpdateSummary
    from captioner.photos.walk import Selection
    from captioner.types import Describer, Failure, Listing, Photo

_NETWORK = (
    "{path} lies on a network drive ({kind}): searching waits for writing there, and two machines "
    "at a time may harm it. Better keep it on a disk of this machine: --db or CAPTIONER_DB."
)
_GOES_ON = "the same command goes on from there."


def to_write(path: Path, *, remedy: str = "") -> Index:
    """Open an index for writing, with a warning where it lies on a network drive.

    Parameters
    ----------
    remedy
        What to do if there is no index; if not given, an empty one is made.

    Raises
    ------
    UsageError
        If there is none, and `remedy` is given.
    """
    from captioner.index import Index

    if remedy and not path.exists():
        raise UsageError(f"there is no index at {path}.", remedy)
    index = Index.open(path, write=True)
    warn_of_network(index)
    return index


def warn_of_network(index: Index) -> None:
    """Say what to expect of a database on a network drive."""
    if index.network_filesystem:
        console.warning(
            _NETWORK.format(path=console.shown(str(index.path)), kind=index.network_filesystem)
        )


def update(
    index: Index,
    given: InputPaths,
    load: Callable[[], Describer],
    options: UpdateOptions,
    selection: Selection,
    stop: Callable[[], bool],
    *,
    told: set[tuple[str, str]] | None = None,
    found: list[Photo] | None = None,
    everywhere: bool = False,
    stamped: bool = False,
) -> UpdateSummary:
    """Bring an index in step with the paths given, and say what came of it.

    Parameters
    ----------
    selection
        What to leave out of the folders.
    stop
        Whether the person has asked for an end.
    told
        Failures, path and reason, that were named before and are not named again.
    found
        Collects the photos that the walk finds.
    everywhere
        Look for photos that are gone outside the paths given, too.
    stamped
        Print the time of day with the summary.
    """
    from captioner import indexing
    from captioner.photos.walk import listings
    from captioner.types import Description, Failure, Listing

    roots: list[Path] = []
    start = time.monotonic()
    described = 0
    skipped = Skipped(given, told)

    def walked() -> Iterator[Listing | Failure]:
        for one in listings(noted(given, roots), selection, skipped):
            if found is not None and isinstance(one, Listing):
                found.extend(one)
            yield one

    def loaded() -> Describer:
        with bar.preparing("loading the model"):
            return load()

    def tell(result: Result) -> None:
        nonlocal described
        described += isinstance(result, Description)
        path = given.spelled(result.path if isinstance(result, Failure) else result.photo.path)
        if isinstance(result, Failure) and (path, result.reason) not in (told or ()):
            console.cannot_read(path, result.reason)
            if told is not None:
                told.add((path, result.reason))
        bar.done(path)

    def warn(sidecar: Path, reason: str) -> None:
        path = given.spelled(sidecar)
        if told is None or (path, reason) not in told:
            console.warning(f"cannot read {console.shown(path)}: {reason}")
            if told is not None:
                told.add((path, reason))

    try:
        with progress() as bar:
            summary = indexing.update(
                index,
                walked(),
                loaded,
                roots=roots,
                everywhere=everywhere,
                options=options,
                planned=bar.planned,
                progress=tell,
                stop=stop,
                warn=warn,
            )
    except KeyboardInterrupt:
        console.note(f"{console.counted(described)} indexed; {_GOES_ON}")
        raise
    skipped.sum_up()
    summed = sum_up(summary, time.monotonic() - start)
    console.note(f"{time.strftime('%H:%M:%S')} {summed}" if stamped else summed)
    if summary.stopped:
        console.note(f"Stopped: {_GOES_ON}")
    return summary


class Skipped:
    """Names what a walk skips: the first few of a run, and how many more there were.

    Parameters
    ----------
    told
        What was named before, and is not named again.
    """

    _LINES = 10

    def __init__(self, given: InputPaths, told: set[tuple[str, str]] | None = None) -> None:
        self._given = given
        self._told = told
        self._number = 0

    def __call__(self, path: Path, reason: str) -> None:
        """Name one path, and why it is skipped."""
        spelled = self._given.spelled(path)
        if self._told is not None:
            if (spelled, reason) in self._told:
                return
            self._told.add((spelled, reason))
        self._number += 1
        if self._number <= self._LINES:
            console.note(f"Skipped {console.shown(spelled)}: {console.shown(reason)}")

    def sum_up(self) -> None:
        """Say how many were not named."""
        if self._number > self._LINES:
            console.note(f"Skipped {self._number - self._LINES:,} more links or special files.")


def note_emptied(emptied: Iterable[tuple[Path, int]]) -> None:
    """Say that photos are kept whose folder is empty: its drive may not be connected."""
    for folder, photos in emptied:
        name = console.shown(str(folder))
        console.note(
            f"{name} is empty; {console.counted(photos)} found there before stay in the index. "
            f"Connect the drive, or remove them with `captioner forget {name}`."
        )


def walk_all(given: InputPaths, known: Iterable[Path]) -> Iterator[Photo | Failure]:
    """The photos that the paths given lead to, and then known ones that a walk of them leaves out.

    Hidden ones, for instance, that were indexed all the same.

    Parameters
    ----------
    known
        Absolute paths; those that are not below the paths given, or gone, are passed over.
    """
    from captioner.cli.paths import relative_to_roots
    from captioner.photos.walk import walk
    from captioner.system.paths import absolute

    roots: list[Path] = []
    met = set()
    skipped = Skipped(given)
    for photo in walk(noted(given, roots), skipped=skipped):
        met.add(absolute(photo.path))
        yield photo
    skipped.sum_up()
    for path in known:
        spelled = relative_to_roots(path, roots)
        if spelled and os.fspath(path) not in met and os.path.isfile(path):  # noqa: PTH113
            yield from walk([spelled])


def noted(paths: Iterable[Path], into: list[Path]) -> Iterator[Path]:
    """Pass paths on and note them in a list."""
    for path in paths:
        into.append(path)
        yield path


def sum_up(summary: UpdateSummary, seconds: float) -> str:
    """Say in a line what an update came to."""
    done = []
    if summary.described:
        pace = spell_pace(summary.described / seconds)
        done = [f"{console.counted(summary.described)} indexed in {spell_time(seconds)} ({pace})"]
    done += [
        f"{number:,} {words}"
        for number, words in (
            (summary.recaptioned, "described again"),
            (summary.moved, "moved"),
            (summary.copied, "copy of another" if summary.copied == 1 else "copies of others"),
            (summary.sidecars, "with changed sidecars"),
            (summary.failed, "could not be read"),
            (summary.missing, "gone"),
            (summary.ignored, "ignored now"),
            (summary.back, "back"),
        )
        if number
    ]
    if not done:
        if not summary.unchanged:
            return "No photos found."
        return f"Nothing new: {console.counted(summary.unchanged)} unchanged."
    if rest := summary.unchanged - summary.back:
        done.append(f"{rest:,} unchanged")
    if not summary.described:
        done.insert(0, "No photo indexed")
    return ", ".join(done) + "."


def content(counts: Counts) -> str:
    """Say in words what an index holds."""
    parts = [console.counted(counts.photos)]
    if counts.failed:
        parts.append(f"{counts.failed:,} of them unreadable")
    if counts.missing:
        parts.append(f"{counts.missing:,} missing")
    if counts.ignored:
        parts.append(f"{counts.ignored:,} ignored")
    return ", ".join(parts)
