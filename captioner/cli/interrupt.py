"""Signals that stop a command: Ctrl-C, SIGTERM, SIGHUP and, on Windows, Ctrl-Break.

Any of them raises `Interrupted`, wherever the command is. Within `finishing`, the first one only
requests a stop, so that the command can finish its current photos; the second one raises.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
_KEYBOARD = b"\nFinishing the current photos. Press Ctrl-C again to stop at once.\n"
_OTHER = b"\nStopping: finishing the current photos first.\n"


class Interrupted(KeyboardInterrupt):
    """A signal to stop the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        """The signal's number."""


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code, as in shells: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def install() -> None:
    """Make each signal raise `Interrupted` in this process.

    Without this, SIGTERM would kill the process without cleanup, and process 1, which a command
    in a container is, would ignore it. Ignored signals, as under nohup, stay ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)


def _raise(number: int, frame: object) -> None:
    raise Interrupted(number)


class Stop:
    """A stop requested by a signal. Call it to ask whether to stop."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._waiting = 0

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._number is not None

    def request(self, number: int) -> None:
        """Request a stop; raises `Interrupted` during `waiting`."""
        self._number = number
        if self._waiting:
            raise Interrupted(number)

    @property
    def exit_code(self) -> int:
        """The exit code of the stopped command."""
        return 128 + (self._number or 0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Make even the first signal raise, for the duration of a wait."""
        self._waiting += 1
        try:
            if self._number is not None:
                raise Interrupted(self._number)
            yield
        finally:
            self._waiting -= 1


_current = Stop()


def waiting() -> AbstractContextManager[None]:
    """Make a signal interrupt a wait during which there is nothing to finish."""
    return _current.waiting()


def stop_requested() -> bool:
    """Whether a signal has requested a stop, and the command is finishing its current work."""
    return _current()


@contextmanager
def finishing() -> Iterator[Stop]:
    """Make the first signal request a stop; the second one has its usual effect."""
    global _current  # noqa: PLW0603 (global like the signal handlers)
    stop, outer = Stop(), _current

    def request(number: int, frame: object) -> None:
        restore()
        # Bypasses Python's buffers, which the signal may have interrupted in the middle of a line.
        keyboard = number in (signal.SIGINT, getattr(signal, "SIGBREAK", None))
        with suppress(OSError, ValueError):  # stderr is closed or broken
            if sys.__stderr__:
                os.write(sys.__stderr__.fileno(), _KEYBOARD if keyboard else _OTHER)
        stop.request(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        # Not those that are ignored, as under nohup, nor those that are not Python's.
        before = {n: h for n, h in handlers.items() if h not in (signal.SIG_IGN, None)}
    _current = stop
    try:
        for number in before:
            signal.signal(number, request)
        yield stop
    finally:
        restore()
        _current = outer
