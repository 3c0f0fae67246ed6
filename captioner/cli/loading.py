"""Loading a model for a command."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from threading import enumerate as running
from typing import TYPE_CHECKING, TypeVar

from captioner.cli import console, interrupt

if TYPE_CHECKING:
    from captioner.model.describer import Model
    from captioner.model.options import DescribeOptions

_THREAD = "loading the model"
T = TypeVar("T")


def load(options: DescribeOptions, *, start: bool = True) -> Model:
    """Load a model as `captioner.model.load` does, and warn if its precision is not available."""
    from captioner import model

    if not start:
        return interruptible(lambda: model.load(options, start=False))
    loaded = interruptible(lambda: model.load(options))
    if options.precision == "bfloat16" and loaded.engine.name == "OpenVINO float32":
        console.warning("--precision bfloat16 is not supported by this CPU; using float32.")
    return loaded


def interruptible(work: Callable[[], T]) -> T:
    """Run a function that spends seconds in native code, where Python handles no signals.

    It runs on another thread. A signal ends the wait for it, and the process.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name=_THREAD, daemon=True)
    thread.start()
    with interrupt.waiting():
        while thread.is_alive():
            thread.join(0.2)  # On Windows, Ctrl-C does not end a join without a timeout.
    if errors:
        raise errors[0]
    return results[0]


def work_continues() -> bool:
    """Whether work still runs after a signal has ended the wait for it."""
    return any(thread.name == _THREAD for thread in running())
