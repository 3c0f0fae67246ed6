"""Indexing runs: an index brought up to date with folders, while other threads watch.

What `captioner index` does with a progress display in a terminal. The thread that calls `run` does
the work; `progress` and `problems` may be called from any other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from captioner.errors import CaptionerError, UsageError
from captioner.index import Index
from captioner.indexing import UpdateOptions, UpdateSummary, update
from captioner.pace import Pace
from captioner.photos.path_errors import explain
from captioner.photos.walk import listings
from captioner.system.paths import remote_uri
from captioner.types import Failure, Listing

if TYPE_CHECKING:
    from captioner.execution import Executor
    from captioner.indexing import Result
    from captioner.types import Describer

State = Literal["looking", "loading", "running", "done", "stopped", "failed"]
"""Of a run: walking through folders, loading the model, describing photos; complete, stopped by a
person, ended by an error."""

DEFAULT_OPTIONS = UpdateOptions()
KEPT_PROBLEMS = 500
"""Problems of a run that are kept to be shown, the latest; all failures are in the index."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A photo that could not be read, or something next to photos that was not."""

    path: str
    reason: str
    """Completes "cannot read PATH: …" and ends with the remedy where there is one."""
    is_photo: bool = True
    """Whether a photo failed; otherwise a sidecar could not be read, or a link was skipped."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    state: State
    folders: tuple[str, ...]
    found: int = 0
    """Photos that the walk has found, changed or not."""
    done: int = 0
    """Photos that were described, recognised or that failed."""
    total: int | None = None
    """Photos to do; None while they are looked for."""
    failed: int = 0
    """Photos that could not be read."""
    problems: int = 0
    """These, and what else was skipped."""
    seconds: float = 0.0
    """Since it began; until it ended."""
    photos_per_second: float | None = None
    seconds_left: float | None = None
    current: str = ""
    """The path of the photo done last."""
    summary: UpdateSummary | None = None
    """Once it has ended without an error."""
    reason: str = ""
    """Why it ended, if by an error."""
    remedy: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.state in ("done", "stopped", "failed")


class IndexingRun:
    """One update of an index.

    Parameters
    ----------
    database
        The index to update; created if it does not exist.
    folders
        The folders to walk; none: all that were indexed before.
    load
        Loads the model, once a photo needs it.
    executor
        Gives the executor that describes; None: the default one.
    options
        See `captioner.indexing.update`.
    """

    def __init__(
        self,
        database: Path,
        folders: Sequence[Path],
        load: Callable[[], Describer],
        *,
        executor: Callable[[], Executor] | None = None,
        options: UpdateOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._database, self._folders = database, list(folders)
        self._load, self._executor, self._options = load, executor, options
        self._lock = threading.Lock()
        self._progress = Progress("looking", tuple(map(str, folders)))
        self._pace = Pace()
        self._began = time.monotonic()
        self._problems: deque[Problem] = deque(maxlen=KEPT_PROBLEMS)

    def progress(self) -> Progress:
        """How far it is now."""
        with self._lock:
            now = self._progress
            if now.is_over:
                return now
            left = None
            if now.total is not None:
                left = self._pace.seconds_left(now.total - now.done)
            return replace(
                now,
                seconds=time.monotonic() - self._began,
                photos_per_second=self._pace.per_second(),
                seconds_left=left,
            )

    def problems(self, seen: int = 0) -> tuple[list[Problem], int]:
        """The problems after the first `seen` ones, and how many there are now.

        Pass that number on as `seen` to get only new ones. Of very many, the latest are kept.
        """
        with self._lock:
            number = self._progress.problems
            new = min(max(number - seen, 0), len(self._problems))
            return list(islice(self._problems, len(self._problems) - new, None)), number

    def run(self, stop: Callable[[], bool] = lambda: False) -> UpdateSummary:
        """Do it, in the calling thread.

        Parameters
        ----------
        stop
            Called between two photos; once it returns True, those in progress are finished and
            stored.

        Raises
        ------
        CaptionerError
            If the index cannot be written, or the model cannot be loaded.
        """
        try:
            with Index.open(self._database, write=True) as index:
                summary = self._update(index, stop)
        except CaptionerError as error:
            self._end("failed", reason=error.reason, remedy=error.remedy)
            raise
        except BaseException as error:  # a bug must not look like a run that never ends
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._end("failed", reason=f"Unexpected {what}.", remedy="Please report this.")
            raise
        self._end("stopped" if summary.stopped else "done", summary=summary)
        return summary

    def _update(self, index: Index, stop: Callable[[], bool]) -> UpdateSummary:
        folders = self._folders or index.roots()
        if not folders:
            raise UsageError("no folder was indexed before.", "Name one.")
        self._set(folders=tuple(map(str, folders)))
        return update(
            index,
            self._walk(folders),
            self._loaded,
            roots=folders,
            everywhere=not self._folders,
            options=self._options,
            planned=self._planned,
            progress=self._done,
            stop=stop,
            warn=self._warn,
            executor=self._executor,
        )

    def _walk(self, folders: Sequence[Path]) -> Iterator[Listing | Failure]:
        for one in listings(folders, skipped=self._warn):
            if isinstance(one, Listing):
                self._set(found=self._progress.found + len(one))
            yield one

    def _warn(self, path: Path, reason: str) -> None:
        with self._lock:
            self._add(Problem(str(path), reason, is_photo=False))

    def _add(self, problem: Problem) -> None:
        self._problems.append(problem)
        self._progress = replace(
            self._progress,
            problems=self._progress.problems + 1,
            failed=self._progress.failed + problem.is_photo,
        )

    def _loaded(self) -> Describer:
        self._set(state="loading")
        describer = self._load()
        self._set(state="running")
        self._pace.restart()
        return describer

    def _planned(self, total: int) -> None:
        self._set(state="running", total=total)
        self._pace.restart()

    def _done(self, result: Result) -> None:
        with self._lock:
            if isinstance(result, Failure):
                path = result.path
                self._add(Problem(str(path), result.reason))
            else:
                path = result.photo.path
            done = self._progress.done + 1
            self._progress = replace(self._progress, done=done, current=str(path))
            self._pace.done()

    def _set(self, **changes: Any) -> None:
        with self._lock:
            self._progress = replace(self._progress, **changes)

    def _end(self, state: State, **how: Any) -> None:
        self._set(
            state=state,
            seconds=time.monotonic() - self._began,
            photos_per_second=self._pace.per_second(),
            seconds_left=None,
            current="",
            **how,
        )


def existing_folder(typed: Path | str) -> Path:
    """The absolute path of a folder that a person has typed; `~` is their home folder.

    Raises
    ------
    UsageError
        If it is not the absolute path of an existing folder that can be read: why, and what to do.
    """
    text = str(typed).strip()
    if not text:
        raise UsageError("no folder was named.", "Type its path, such as ~/Pictures.")
    if remote_uri(text):
        raise UsageError(
            f"{text} is not a folder of this computer.",
            f"Index it on the command line: captioner index {text}",
        )
    folder = Path(text)
    with suppress(RuntimeError):  # no such user, or no home folder
        folder = folder.expanduser()
    if not folder.is_absolute():
        raise UsageError(
            f"{text} is not a whole path.",
            "Type it from the beginning, such as /home/anna/Pictures, C:\\Photos or ~/Pictures.",
        )
    try:
        if not folder.is_dir():
            folder.stat()
            raise UsageError(
                f"{folder} is a file, not a folder.",
                f"Use the folder that it is in: {folder.parent}",
            )
        next(folder.iterdir(), None)
    except (OSError, ValueError) as error:
        remedy = "Check the spelling; capitals count."
        if isinstance(error, PermissionError):
            remedy = "Give yourself permission, or choose another folder."
        raise UsageError(f"{folder} cannot be indexed: {explain(error)}", remedy) from error
    return folder
