"""How a training run reports its progress, without knowing who shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[str], None]
"""Counts one step of a stage; the text describes the step: "epoch 3 of 8"."""


class Progress(Protocol):
    """Shows notes and the progress of stages."""

    def note(self, text: str) -> None:
        """Show one line that stays."""

    def stage(
        self, name: str, total: int, *, done: int = 0, unit: str = "step"
    ) -> AbstractContextManager[Advance]:
        """Begin a stage of `total` steps, of which `done` were done by an earlier run.

        Parameters
        ----------
        unit
            What a step is, in the singular.
        """


class Silent:
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Drop the line."""

    @contextmanager
    def stage(
        self, name: str, total: int, *, done: int = 0, unit: str = "step"
    ) -> Iterator[Advance]:
        """Count nothing."""
        yield lambda doing: None
