"""Loss and dev figures over the epochs: a picture, and a line for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from captioner.errors import CaptionerError
from captioner.training.fit import Metrics

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """A row of bars, lowest to highest; one bar a value."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def lines(history: Sequence[Metrics]) -> list[str]:
    """One line a figure: its course over the epochs, its first and its last value."""
    names = [name for name in history[0] if name not in ("epoch", "seconds")] if history else []
    return [
        f"{name:>14} {sparkline([h[name] for h in history])} {history[0][name]:.4g} → "
        f"{history[-1][name]:.4g}"
        for name in names
    ]


def draw(history: Sequence[Metrics], title: str, png: Path) -> None:
    """Every figure of a run over its epochs, each in its own panel.

    Raises
    ------
    CaptionerError
        Where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise CaptionerError(
            "drawing curves needs matplotlib, which is not installed.",
            "Run pip install 'captioner[train]'.",
        ) from error
    names = [name for name in history[0] if name not in ("epoch", "seconds")]
    figure = Figure(figsize=(3.2 * len(names), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot([h["epoch"] for h in history], [h[name] for h in history], marker="o")
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    figure.savefig(png, dpi=120)
