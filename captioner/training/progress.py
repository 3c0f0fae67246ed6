"""How a training run reports its progress, without knowing who shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

    def measured(self, part: str, metrics: Mapping[str, float]) -> None:
        """Take the figures of an epoch, once its checkpoint is written.

        A `StoppedEarly` that this raises ends the run.

        Parameters
        ----------
        part
            "heads", "decoder-1" …
        metrics
            `epoch`, `loss`, and what was measured on dev.
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

    def measured(self, part: str, metrics: Mapping[str, float]) -> None:
        """Drop the figures."""
