"""Jobs: an index brought up to date with folders in the background, with progress to watch.

What `captioner index` does in the foreground. One job at a time; it goes on whether anyone watches
or not, and a stop keeps what is done.
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
from typing import TYPE_CHECKING, Literal

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

State = Literal[
    "waiting", "looking", "loading", "running", "finishing", "done", "stopped", "failed"
]
"""Of a job: not begun, walking through folders, loading the model, describing photos, finishing
those in progress after a stop, complete, stopped by a person, ended by an error."""

KEPT_PROBLEMS = 500
"""Problems of a job that are kept to be shown, the latest; all failures are in the index."""


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
    """How far a job is."""

    number: int
    """Of the job, from 1."""
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


class IndexingJob:
    """One update of an index in a thread of its own.

    Parameters
    ----------
    number
        Of the job.
    database
        The index to update.
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
        number: int,
        database: Path,
        folders: Sequence[Path],
        load: Callable[[], Describer],
        executor: Callable[[], Executor] | None,
        options: UpdateOptions,
    ) -> None:
        self._database, self._folders = database, list(folders)
        self._load, self._executor, self._options = load, executor, options
        self._lock = threading.Lock()
        self._progress = Progress(number, "waiting", tuple(map(str, folders)))
        self._pace = Pace()
        self._began = time.monotonic()
        self._problems: deque[Problem] = deque(maxlen=KEPT_PROBLEMS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the photos in progress; what is done is stored."""
        self._stopping.set()
        with self._lock:
            if self._progress.state in ("looking", "loading", "running"):
                self._progress = replace(self._progress, state="finishing")

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the end; False if it has not come within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

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

    def _run(self) -> None:
        try:
            with Index.open(self._database, write=True) as index:
                summary = self._update(index)
        except CaptionerError as error:
            self._end("failed", reason=error.reason, remedy=error.remedy)
        except Exception as error:  # a bug must not leave a job that seems to run for ever
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._end("failed", reason=f"Unexpected {what}.", remedy="Please report this.")
        else:
            self._end("stopped" if summary.stopped else "done", summary=summary)

    def _update(self, index: Index) -> UpdateSummary:
        folders = self._folders or index.roots()
        if not folders:
            raise UsageError("no folder was indexed before.", "Name one.")
        self._set(state="looking", folders=tuple(map(str, folders)))
        return update(
            index,
            self._walk(folders),
            self._loaded,
            roots=folders,
            everywhere=not self._folders,
            options=self._options,
            planned=self._planned,
            progress=self._done,
            stop=self._stopping.is_set,
            warn=self._warn,
            executor=self._executor,
        )

    def _walk(self, folders: Sequence[Path]) -> Iterator[Listing | Failure]:
        for one in listings(folders, skipped=self._warn):
            if isinstance(one, Listing):
                with self._lock:
                    found = self._progress.found + len(one)
                    self._progress = replace(self._progress, found=found)
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

    def _set(self, *, state: State, **changes: object) -> None:
        """Change the state, unless a stop has been asked for."""
        with self._lock:
            if self._stopping.is_set():
                state = "finishing"
            self._progress = replace(self._progress, state=state, **changes)  # type: ignore[arg-type]

    def _end(self, state: State, **how: object) -> None:
        with self._lock:
            self._progress = replace(
                self._progress,
                state=state,
                seconds=time.monotonic() - self._began,
                photos_per_second=self._pace.per_second(),
                seconds_left=None,
                current="",
                **how,  # type: ignore[arg-type]
            )


class Jobs:
    """Runs indexing jobs of one index, one at a time, and remembers the latest.

    Parameters
    ----------
    database
        The index; created if it does not exist.
    load
        Loads the model that describes photos.
    executor
        Gives the executor that describes; None: the default one.
    """

    def __init__(
        self,
        database: Path,
        load: Callable[[], Describer],
        executor: Callable[[], Executor] | None = None,
    ) -> None:
        self._database, self._load, self._executor = database, load, executor
        self._lock = threading.Lock()
        self._job: IndexingJob | None = None
        self._closed = False

    @property
    def latest(self) -> IndexingJob | None:
        """The job that runs, or else the last one; None if there was none."""
        return self._job

    def start(self, folders: Sequence[Path] = (), *, retry_failed: bool = False) -> IndexingJob:
        """Start a job for some folders, or for all that were indexed before.

        Raises
        ------
        UsageError
            If another job runs, or a path is not an existing folder of this computer.
        """
        checked = [existing_folder(folder) for folder in folders]
        with self._lock:
            if self._closed:
                raise UsageError("the server is being stopped.", "Start it again.")
            if self._job and not self._job.progress().is_over:
                raise UsageError(
                    "photos are being indexed already.", "Wait until that is done, or stop it."
                )
            number = self._job.progress().number + 1 if self._job else 1
            options = UpdateOptions(retry_failed=retry_failed)
            self._job = IndexingJob(
                number, self._database, checked, self._load, self._executor, options
            )
            self._job.start()
            return self._job

    def close(self, seconds: float | None = None) -> bool:
        """Stop a running job and wait until it has stored what is done; start no other.

        Returns whether it ended within so many seconds.
        """
        with self._lock:
            self._closed = True
            job = self._job
        if job is None:
            return True
        job.stop()
        return job.join(seconds)


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
