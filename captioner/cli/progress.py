"""How far a run has come: a live bar where stderr is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from captioner.cli import console

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text


class Progress(Protocol):
    """A context manager that shows: photos done, photos/s, time left, the file in hand."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def planned(self, total: int) -> None:
        """Tell how many photos there will be, once that is known."""

    def done(self, path: str) -> None:
        """Count one photo."""


def progress(*, quiet: bool = False) -> Progress:
    """Choose what fits stderr; nothing at all where it is to be quiet."""
    if quiet:
        return _Lines(every=float("inf"))
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Lines:
    """A plain line every few seconds, for log files.

    Parameters
    ----------
    every
        Seconds.
    """

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._total: int | None = None
        self._number = 0

    def __enter__(self) -> Self:
        self._told = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None: ...

    def planned(self, total: int) -> None:
        self._total = total

    def done(self, path: str) -> None:
        now = time.monotonic()
        if not self._number:
            self._first = now  # Before it the model was loaded, which says nothing of the pace.
        self._number += 1
        if now - self._told >= self._every:
            self._told = now
            pace = (self._number - 1) / max(now - self._first, 1e-9)
            words = (_count(self._number, self._total), spell_pace(pace), self._left(pace))
            console.note(", ".join(word for word in (*words, console.shown(path)) if word))

    def _left(self, pace: float) -> str:
        return _left((self._total - self._number) / pace) if self._total and pace else ""


class _Bar:
    """A live line at the bottom of the terminal, gone when it is over; warnings stand above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        class Words(ProgressColumn):
            def __init__(self, words: Callable[[Task], str]) -> None:
                super().__init__(Column(no_wrap=True))
                self._words = words

            def render(self, task: Task) -> Text:
                return Text(self._words(task))

        # What does not fit is cut from the file's name first, since it comes last.
        self._bar = Progress(
            BarColumn(16, style="dim", complete_style="green", pulse_style="green"),
            Words(lambda task: _count(int(task.completed), task.total)),
            Words(lambda task: spell_pace(task.speed)),
            Words(lambda task: _left(task.time_remaining)),
            TextColumn(
                "{task.description}",
                style="dim",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=Console(stderr=True),
            redirect_stdout=False,  # Rich would send our data to stderr.
            transient=True,
            expand=True,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def planned(self, total: int) -> None:
        self._bar.reset(self._task, total=total, description="loading the model")

    def done(self, path: str) -> None:
        self._bar.update(self._task, advance=1, description=console.shown(path))


def _count(number: int, total: float | None) -> str:
    return (
        console.counted(number) if total is None else f"{number:,} of {console.counted(int(total))}"
    )


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{spell_time(seconds)} left"


def spell_pace(photos_per_second: float | None) -> str:
    """Write a speed for a person: "0.8 photos/s", "126 photos/s"; nothing where there is none."""
    if not photos_per_second:
        return ""
    return f"{photos_per_second:,.{0 if photos_per_second >= 10 else 1}f} photos/s"


def spell_time(seconds: float) -> str:
    """Write a duration for a person: "8 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
