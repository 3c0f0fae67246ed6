"""Executors: photos in, descriptions or failures out, on threads, processes or machines.

An executor is one module. `get` is the only place that picks one; whoever has photos described,
such as `captioner.indexing` and the command line, does not know which one runs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Protocol, runtime_checkable

from captioner.errors import UsageError
from captioner.types import Describer, Description, Failure, Photo

DEFAULT = "threads"
MANY_CORES = 4
"""From this many on, describing in several processes is faster than in one thread."""

_MODULES = {
    "threads": "captioner.execution.threads",
    "processes": "captioner.execution.processes",
    "ray": "captioner.execution.ray",
}
"""By name the module whose `EXECUTOR` is the executor, imported when it is asked for."""


class Executor(Protocol):
    """Runs photos through decoding, encoding and describing."""

    ordered: bool
    """Whether results come in the order of the photos."""

    def describe(
        self,
        photos: Iterable[Photo | Failure],
        describer: Describer,
        *,
        progress: Callable[[Description | Failure], None] | None = None,
        workers: int | None = None,
    ) -> Generator[Description | Failure, None, None]:
        """Describe photos: one result per photo, a `Failure` where it cannot be read.

        Parameters
        ----------
        photos
            As `captioner.photos.walk` finds them; its failures are passed on.
        progress
            Called in the consumer's thread for each photo that is done, no later than its result
            is yielded.
        workers
            How many photos are decoded at the same time; None: what suits the machine.

        Raises
        ------
        CaptionerError
            What the describer raises, since it concerns more than one photo.
        """
        ...


@runtime_checkable
class StagingExecutor(Executor, Protocol):
    """An executor that takes all photos first, and keeps results somewhere until they are stored.

    Whoever wants to stop closes its generator.
    """

    def stored(self) -> None:
        """All results yielded so far are stored: what was kept of them may go."""
        ...


def register(name: str, module: str) -> None:
    """Add an executor: the module's `EXECUTOR`, imported when it is asked for."""
    _MODULES[name] = module


def names() -> list[str]:
    """The names that `get` knows."""
    return sorted(_MODULES)


def get(name: str | None = None) -> Executor:
    """The executor of this name, or the default one.

    Raises
    ------
    UsageError
        If there is none.
    """
    name = DEFAULT if name is None else name
    if name not in _MODULES:
        raise UsageError(f"there is no executor {name!r}.", f"Use one of {', '.join(names())}.")
    executor: Executor = import_module(_MODULES[name]).EXECUTOR
    return executor


def suited() -> str:
    """The name of the executor that suits this machine, for programs that may start processes.

    Not for a library: a process that is started imports the main module again, which a script
    without `if __name__ == "__main__"` does not expect.
    """
    from captioner.system.cores import cores

    return "processes" if cores() >= MANY_CORES else DEFAULT


def describe(
    photos: Iterable[Photo | Failure],
    describer: Describer,
    *,
    progress: Callable[[Description | Failure], None] | None = None,
    workers: int | None = None,
) -> Generator[Description | Failure, None, None]:
    """Describe photos with the default executor; see `Executor.describe`."""
    return get().describe(photos, describer, progress=progress, workers=workers)
