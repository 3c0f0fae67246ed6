"""Ctrl-C, asked politely: the first one lets a command finish what it has in hand."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SAID = b"\nFinishing the photos in hand. Ctrl-C again stops at once.\n"


@contextmanager
def finishing() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed; the second one is as ever."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)
        # Past Python's buffers, which this may have interrupted in the middle of a line.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAID)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
