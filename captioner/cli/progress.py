"""How far a run has come: a live line where stderr is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Event, RLock, Thread
from typing import Self, TextIO

from captioner.cli import console, streams

_SETTLED = 2.0
"""Seconds of work before which nothing is said of its pace."""


class Progress:
    """Counts photos, and shows nothing of it: what others that do show are made from.

    A context manager.
    """

    def __init__(self, unit: str = "photo") -> None:
        self._unit = unit
        self._number = 0
        self._total: int | None = None
        self._doing = "looking for photos"
        # When work began, then when each photo was done. Only the latest: the pace may change.
        self._times: deque[float] = deque(maxlen=1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def planned(self, total: int, *, done: int = 0) -> None:
        """Tell how many photos there will be, once that is known, and how many were done before."""
        self._total = total
        self._number += done
        self._doing = ""

    @contextmanager
    def preparing(self, what: str) -> Iterator[None]:
        """Say what is done before any photo can be, and leave it out of the pace."""
        self._doing = what
        yield
        self._doing = ""
        self._times = deque([time.monotonic()], self._times.maxlen)

    def done(self, path: str) -> None:
        """Count one photo."""
        self._number += 1
        self._doing = path
        self._times.append(time.monotonic())

    def _words(self) -> list[str]:
        """What there is to say: the count, the pace, the time left."""
        if self._total is None:
            return [console.counted(self._number, self._unit)]
        words = [f"{self._number:,} of {console.counted(self._total, self._unit)}"]
        times = self._times
        # Up to the last photo rather than to now, since they come a batch at a time.
        seconds = times[-1] - times[0] if times else 0
        if seconds > _SETTLED:
            pace = (len(times) - 1) / seconds
            left = (self._total - self._number) / pace - (time.monotonic() - times[-1])
            words += [spell_pace(pace, self._unit), f"{spell_time(max(left, 0))} left"]
        return words


def progress(*, quiet: bool = False, unit: str = "photo") -> Progress:
    """Choose what fits stderr; nothing at all where it is to be quiet."""
    if quiet or console.is_quiet():
        return Progress(unit)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _LiveLine(unit)
    return _Lines(unit)


class _Lines(Progress):
    """A plain line every few seconds, with the time, for whoever reads it later.

    Parameters
    ----------
    every
        Seconds.
    """

    def __init__(self, unit: str = "photo", every: float = 10.0) -> None:
        super().__init__(unit)
        self._every = every
        self._told = time.monotonic()

    def done(self, path: str) -> None:
        super().done(path)
        if time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            words = ", ".join([*self._words(), console.shown(path)])
            streams.to_stderr(f"{datetime.now():%Y-%m-%d %H:%M:%S} {words}\n")


class _LiveLine(Progress):
    """The last line of the terminal, gone when all is done; whatever is said stands above it.

    Rich's own leaves rests behind when the terminal gets narrower, which wraps the line that is
    there. Here the cursor waits at the line's beginning, so that all of it can be wiped away.
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
        self._turn = RLock()  # an interrupt may want to speak while the line is being drawn
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

    def say(self, text: str) -> None:
        """Write whole lines above the live one."""
        with self._turn:
            self._put(self._wipe() + text + self._line())

    def _keep_drawing(self) -> None:
        while not self._over.wait(self._SECONDS):
            with self._turn:
                self._put(self._wipe() + self._line())

    def _wipe(self) -> str:
        if self._drawing.width == self._width:
            return self._WIPE_LINE
        # It may be several lines by now. (Not always, since some terminals keep what they wipe.)
        self._width = self._drawing.width
        return self._WIPE_BELOW

    def _put(self, text: str) -> None:
        # The terminal may be gone, and what it was told is not worth a run.
        with suppress(OSError, ValueError):
            self._terminal.write(text)
            self._terminal.flush()

    def _line(self) -> str:
        """What is there to see, as wide as the terminal is now, and the way back to its start."""
        from rich.cells import cell_len
        from rich.text import Text

        width = self._width - 1  # Writing into the last column makes some terminals wrap.
        told = self._words()
        while cell_len(words := "  ".join(told)) > width and len(told) > 1:
            told.pop()
        room = width - cell_len(words) - 2
        line = Text(no_wrap=True, overflow="crop")
        if self._total and room > self._BAR:
            full = self._BAR * self._number // self._total
            done, left = "#-" if self._drawing.options.ascii_only else "━─"
            line.append(done * full, "green").append(left * (self._BAR - full), "dim").append("  ")
            room -= self._BAR + 2
        line.append(words)
        if room > 0 and self._doing:
            line.append("  ").append(self._end_of(console.shown(self._doing), room), "dim")
        line.truncate(width)
        with self._drawing.capture() as drawn:
            self._drawing.print(line, end="", soft_wrap=True)
        return drawn.get() + "\r"

    def _end_of(self, path: str, width: int) -> str:
        """As much of a path as fits: the file's name rather than the folders."""
        from rich.cells import cell_len

        if cell_len(path) <= width:
            return path
        mark = "..." if self._drawing.options.ascii_only else "…"
        while path and cell_len(path) + len(mark) > width:
            path = path[1:]
        return mark + path


class _Above:
    """Stands in for stderr: lines go above the live one, once they are complete."""

    def __init__(self, line: _LiveLine, terminal: TextIO) -> None:
        self._line = line
        self._terminal = terminal
        self.rest = ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        if lines:
            self._line.say("".join(f"{line}\n" for line in lines))
        return len(text)

    def flush(self) -> None: ...

    def __getattr__(self, name: str) -> object:
        return getattr(self._terminal, name)


def spell_pace(photos_per_second: float, unit: str = "photo") -> str:
    """Write a speed for a person: "0.8 photos/s", "126 photos/s"."""
    return f"{photos_per_second:,.{0 if photos_per_second >= 10 else 1}f} {unit}s/s"


def spell_time(seconds: float) -> str:
    """Write a duration for a person: "8 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
