"""Background jobs, such as indexing a folder: their progress, and how they are stopped."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from captioner.errors import CaptionerError

State = Literal["running", "done", "stopped", "failed"]

_POLL_SECONDS = 0.1
_KEPT = 20
"""Finished jobs whose state can still be asked for."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """The state of a job at one time, as JSON can say it."""

    id: int
    name: str
    state: State
    progress: Mapping[str, object] = field(default_factory=dict)
    """What the job last reported."""
    message: str = ""
    """Why it failed."""
    remedy: str = ""


class Job:
    """One job on a thread of its own.

    The function that it runs calls `report` as it goes on, and ends early, leaving everything
    whole, when `stop_requested`. What it raises is its failure.
    """

    def __init__(self, number: int, name: str, run: Callable[[Job], None]) -> None:
        self.id, self.name = number, name
        self._run = run
        self._stop = threading.Event()
        self._status = JobStatus(number, name, "running")
        # Daemonic: a second Ctrl-C ends the process at once, and the database stays whole.
        self._thread = threading.Thread(target=self._work, name=f"job {number}", daemon=True)

    @property
    def status(self) -> JobStatus:
        """Its present state."""
        return self._status

    def stop_requested(self) -> bool:
        """Whether the job should end."""
        return self._stop.is_set()

    def report(self, **progress: object) -> None:
        """Publish how far the job is; values that JSON can hold, which replace earlier ones."""
        before = self._status
        self._status = JobStatus(self.id, self.name, "running", {**before.progress, **progress})

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the job to end."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        state: State = "done"
        message = remedy = ""
        try:
            self._run(self)
            state = "stopped" if self._stop.is_set() else "done"
        except CaptionerError as error:
            state, message, remedy = "failed", error.reason, error.remedy
        except Exception as error:
            logging.getLogger(__name__).exception("%s failed", self.name)
            state, message = "failed", f"{type(error).__name__}: {error}"
            remedy = "This is a bug in captioner or in a library it uses."
        progress = self._status.progress
        self._status = JobStatus(self.id, self.name, state, progress, message, remedy)


class Jobs:
    """All jobs of a server."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = False

    def start(self, name: str, run: Callable[[Job], None]) -> Job:
        """Run a function on a thread of its own, with its job."""
        with self._lock:
            if self._closed:
                raise CaptionerError("captioner is stopping.", "Start it again.")
            job = Job(next(self._numbers), name, run)
            finished = [one for one in self._jobs.values() if one.status.state != "running"]
            for old in finished[:-_KEPT]:
                del self._jobs[old.id]
            self._jobs[job.id] = job
            job.start()
        return job

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    def get(self, number: int) -> Job | None:
        """A job by its id."""
        return self._jobs.get(number)

    def all(self) -> list[JobStatus]:
        """The state of each job, the latest first."""
        return [job.status for job in reversed(list(self._jobs.values()))]

    async def updates(self, job: Job) -> AsyncIterator[JobStatus]:
        """The state of a job whenever it changes, until it ends or the server stops."""
        last: JobStatus | None = None
        while not self._closed:
            status = job.status
            if status is not last:
                yield status
                last = status
            if status.state != "running":
                return
            await asyncio.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Ask all jobs to end, and wait for them. New ones are refused."""
        with self._lock:
            self._closed = True
        jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()
        for job in jobs:
            # With a timeout, so that a second Ctrl-C is noticed on Windows, too.
            while not job.join(0.2):
                pass
