"""Progress display: a live line if stderr is a terminal, otherwise a log line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Event, RLock, Thread
from typing import Self, TextIO

from captioner.cli import console, streams
from captioner.pace import Pace, spell_pace, spell_time


class Progress:
    """Counts photos and shows nothing; the base class of those that do.

    A context manager.
    """

    def __init__(self, unit: str = "photo") -> None:
        self._unit = unit
        self._number = 0
        self._total: int | None = None
        self._doing = "looking for photos"
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def planned(self, total: int, *, done: int = 0) -> None:
        """Set the total number, once it is known, and how many of them were done before."""
        self._total = total
        self._number += done
        self._doing = ""

    @contextmanager
    def preparing(self, what: str) -> Iterator[None]:
        """Show a preparation step, and exclude its time from the speed."""
        self._doing = what
        yield
        self._doing = ""
        self._pace.restart()

    def done(self, path: str) -> None:
        """Count one photo."""
        self._number += 1
        self._doing = path
        self._pace.done()

    def _parts(self) -> list[str]:
        """The parts of the display: count, speed, time left."""
        if self._total is None:
            return [console.counted(self._number, self._unit)]
        parts = [f"{self._number:,} of {console.counted(self._total, self._unit)}"]
        if pace := self._pace.per_second():
            left = self._pace.seconds_left(self._total - self._number)
            parts += [spell_pace(pace, self._unit), f"{spell_time(left or 0)} left"]
        return parts


def progress(*, quiet: bool = False, unit: str = "photo") -> Progress:
    """Create the progress display that suits stderr; none if quiet."""
    if quiet or console.is_quiet():
        return Progress(unit)
    if console.stderr_is_live():
        return _LiveLine(unit)
    return _Lines(unit)


class _Lines(Progress):
    """A plain line with the time every few seconds, for logs.

    Parameters
    ----------
    every
        Seconds.
    """

    def __init__(self, unit: str = "photo", every: float = 10.0) -> None:
        super().__init__(unit)
        self._every = every
        self._last_printed = time.monotonic()

    def done(self, path: str) -> None:
        super().done(path)
        if time.monotonic() - self._last_printed >= self._every:
            self._last_printed = time.monotonic()
            text = ", ".join([*self._parts(), console.shown(path)])
            streams.to_stderr(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}\n")


class _LiveLine(Progress):
    """A live line at the bottom of the terminal, removed at the end; messages appear above it.

    Rich's live display leaves remnants when the terminal becomes narrower and wraps the line. Here
    the cursor stays at the start of the line, so that all of it can be erased.
    """

    _SECONDS = 0.2
    _BAR = 16
    _WIPE_LINE = "\r\x1b[K"
    _WIPE_BELOW = "\r\x1b[J"

    def __init__(self, unit: str = "photo") -> None:
        from rich.console import Console

        super().__init__(unit)
        self._terminal = sys.stderr
        self._drawing = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self._width = self._drawing.width
        self._turn = RLock()  # an interrupt may print while the line is being drawn
        self._over = Event()
        self._thread = Thread(target=self._keep_drawing, name="progress", daemon=True)

    def __enter__(self) -> Self:
        sys.stderr = self._above = _Above(self, self._terminal)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        sys.stderr = self._terminal
        self._put(self._wipe() + self._above.rest)

    def print_above(self, text: str) -> None:
        """Print whole lines above the live one."""
        with self._turn:
            self._put(self._wipe() + text + self._line())

    def _keep_drawing(self) -> None:
        while not self._over.wait(self._SECONDS):
            with self._turn:
                self._put(self._wipe() + self._line())

    def _wipe(self) -> str:
        if self._drawing.width == self._width:
            return self._WIPE_LINE
        # It may have been wrapped. (Not always, since some terminals scroll what is erased.)
        self._width = self._drawing.width
        return self._WIPE_BELOW

    def _put(self, text: str) -> None:
        # The terminal may be closed, which must not end the run.
        with suppress(OSError, ValueError):
            self._terminal.write(text)
            self._terminal.flush()

    def _line(self) -> str:
        """The line, cut to the terminal's current width, with the cursor back at its start."""
        from rich.cells import cell_len
        from rich.text import Text

        width = self._width - 1  # writing into the last column wraps in some terminals
        parts = self._parts()
        while cell_len(text := "  ".join(parts)) > width and len(parts) > 1:
            parts.pop()
        room = width - cell_len(text) - 2
        line = Text(no_wrap=True, overflow="crop")
        if self._total and room > self._BAR:
            full = self._BAR * self._number // self._total
            done, left = "#-" if self._drawing.options.ascii_only else "━─"
            line.append(done * full, "green").append(left * (self._BAR - full), "dim").append("  ")
            room -= self._BAR + 2
        line.append(text)
        if room > 0 and self._doing:
            line.append("  ").append(self._end_of(console.shown(self._doing), room), "dim")
        line.truncate(width)
        with self._drawing.capture() as drawn:
            self._drawing.print(line, end="", soft_wrap=True)
        return drawn.get() + "\r"

    def _end_of(self, path: str, width: int) -> str:
        """The end of a path, as much as fits."""
        from rich.cells import cell_len

        if cell_len(path) <= width:
            return path
        mark = "..." if self._drawing.options.ascii_only else "…"
        while path and cell_len(path) + len(mark) > width:
            path = path[1:]
        return mark + path


class _Above:
    """A replacement for stderr that prints complete lines above the live one."""

    def __init__(self, line: _LiveLine, terminal: TextIO) -> None:
        self._line = line
        self._terminal = terminal
        self.rest = ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        if lines:
            self._line.print_above("".join(f"{line}\n" for line in lines))
        return len(text)

    def flush(self) -> None: ...

    def __getattr__(self, name: str) -> object:
        return getattr(self._terminal, name)
