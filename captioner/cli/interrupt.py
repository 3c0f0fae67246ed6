"""Signals that ask for an end: Ctrl-C, SIGTERM, SIGHUP and, on Windows, Ctrl-Break.

Any of them raises `Interrupted`, wherever the command is. Within `finishing`, the first one only
asks: the command finishes what it has in hand. The second one raises.
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
_KEYBOARD = b"\nFinishing the photos in hand. Ctrl-C again stops at once.\n"
_OTHER = b"\nAsked to stop: finishing the photos in hand.\n"


class Interrupted(KeyboardInterrupt):
    """The end that a signal asked for."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        """Of the signal."""


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def install() -> None:
    """Let each signal raise `Interrupted`, for the process that the command has to itself.

    Without this SIGTERM ends a process with nothing finished, and is ignored by process 1, as
    which a container starts its command. Signals that are ignored, as under nohup, stay ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _raise)


def _raise(number: int, frame: object) -> None:
    raise Interrupted(number)


class Stop:
    """Whether a signal has asked for an end. Called, it says so."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._waiting = 0

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._number is not None

    def ask(self, number: int) -> None:
        """Ask for an end."""
        self._number = number
        if self._waiting:
            raise Interrupted(number)

    @property
    def exit_code(self) -> int:
        """Of a command that was stopped."""
        return 128 + (self._number or 0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal end a wait: in here even the first one raises."""
        self._waiting += 1
        try:
            if self._number is not None:
                raise Interrupted(self._number)
            yield
        finally:
            self._waiting -= 1


_current = Stop()


def waiting() -> AbstractContextManager[None]:
    """Let a signal end a wait that has nothing in hand, whether within `finishing` or not."""
    return _current.waiting()


def asked() -> bool:
    """Whether a signal has asked for an end, and the command finishes what it has in hand."""
    return _current()


@contextmanager
def finishing() -> Iterator[Stop]:
    """Let the first signal ask for an end; the second one has its usual effect."""
    global _current  # noqa: PLW0603 (as signal handlers, which belong to the process)
    stop, outer = Stop(), _current

    def ask(number: int, frame: object) -> None:
        restore()
        # Past Python's buffers, which this may have interrupted in the middle of a line.
        keyboard = number in (signal.SIGINT, getattr(signal, "SIGBREAK", None))
        with suppress(OSError, ValueError):  # nobody reads it, or stderr is closed
            if sys.__stderr__:
                os.write(sys.__stderr__.fileno(), _KEYBOARD if keyboard else _OTHER)
        stop.ask(number)

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
            signal.signal(number, ask)
        yield stop
    finally:
        restore()
        _current = outer
