"""Indexing from the page: one run at a time, which goes on when the page is closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from captioner.errors import UsageError
from captioner.indexing import UpdateOptions
from captioner.indexing_run import IndexingRun, Problem, Progress
from captioner.types import Describer
from captioner.web.jobs import Job, Jobs

_POLL_SECONDS = 0.2


class Indexer:
    """Runs the indexing of one database as a job, and remembers the latest run.

    Parameters
    ----------
    database
        The index to write.
    jobs
        Where it runs.
    load
        Loads the model that describes: one of its own, which nobody else uses meanwhile.
    """

    def __init__(self, database: Path, jobs: Jobs, load: Callable[[], Describer]) -> None:
        self._database, self._jobs, self._load = database, jobs, load
        self._lock = threading.Lock()
        self._latest: tuple[Job, IndexingRun] | None = None

    def start(self, folders: Sequence[Path] = (), *, retry_failed: bool = False) -> None:
        """Start a run over some folders, or over all that were indexed before.

        Raises
        ------
        UsageError
            If one runs already.
        """
        with self._lock:
            if self.is_running:
                raise UsageError(
                    "photos are being indexed already.", "Wait until that is done, or stop it."
                )
            options = UpdateOptions(retry_failed=retry_failed)
            run = IndexingRun(self._database, folders, self._load, options=options)
            job = self._jobs.start("indexing", lambda job: _run(run, job))
            self._latest = job, run

    @property
    def is_running(self) -> bool:
        """Whether a run has begun and not ended."""
        return self._latest is not None and self._latest[0].status.state == "running"

    def stop(self) -> None:
        """Ask a run to stop; it stores what is done first."""
        if self._latest:
            self._latest[0].stop()

    @property
    def is_stopping(self) -> bool:
        """Whether a run was asked to stop and has not ended yet."""
        return self.is_running and self._latest is not None and self._latest[0].stop_requested()

    def progress(self) -> Progress | None:
        """How far the latest run is; None if there was none."""
        return self._latest[1].progress() if self._latest else None

    def problems(self, seen: int = 0) -> tuple[list[Problem], int]:
        """The problems of the latest run; see `IndexingRun.problems`."""
        return self._latest[1].problems(seen) if self._latest else ([], 0)

    async def updates(self) -> AsyncIterator[tuple[Progress, list[Problem], bool]]:
        """Progress, new problems and whether it is stopping, again and again until it has ended."""
        seen = 0
        while self._latest and not self._jobs.closed:
            running = self.is_running
            problems, seen = self.problems(seen)
            yield self._latest[1].progress(), problems, self.is_stopping
            if not running:
                return
            await asyncio.sleep(_POLL_SECONDS)


def _run(run: IndexingRun, job: Job) -> None:
    run.run(job.stop_requested)
