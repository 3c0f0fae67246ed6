"""Learning curves: loss and dev figures over the epochs, as a PNG and as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from captioner.errors import CaptionerError

Metrics = Mapping[str, float]

_BARS = "▁▂▃▄▅▆▇█"
_LABELS = {
    "cider": "CIDEr",
    "words": "distinct words",
    "likelihood": "log-likelihood",
    "reward": "mean reward",
    "word_loss": "word head loss",
    "joint_r1": "joint space R@1",
    "joint_r10": "joint space R@10",
    "words_r1": "word head R@1",
    "words_r10": "word head R@10",
    "both_r1": "R@1",
    "both_r10": "R@10",
    "both_median": "median rank",
}
"""Figures as people know them, by their keys in the training record."""


def label(name: str) -> str:
    """A figure's name for a person: "both_r10" is R@10, "extra_both_r10" the same on extra data."""
    extra = name.startswith("extra_")
    plain = name.removeprefix("extra_")
    return _LABELS.get(plain, plain.replace("_", " ")) + (", extra data" if extra else "")


def summary(metrics: Metrics, names: Iterable[str]) -> str:
    """Some figures of one epoch in a line, those that were not measured left out."""
    return ", ".join(f"{label(name)} {metrics[name]:.4g}" for name in names if name in metrics)


def sparkline(values: Sequence[float]) -> str:
    """A row of bars, lowest to highest; one bar per value."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def lines(history: Sequence[Metrics]) -> list[str]:
    """One line per figure: its course over the epochs, its first and its last value."""
    names = _figures(history[0]) if history else []
    return [
        f"{label(name):>16} {sparkline([h[name] for h in history])} {history[0][name]:.4g} → "
        f"{history[-1][name]:.4g}"
        for name in names
    ]


def draw(history: Sequence[Metrics], title: str, png: Path) -> None:
    """Draw every figure of a run over its epochs, each in its own panel.

    Raises
    ------
    CaptionerError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise CaptionerError(
            "drawing curves needs matplotlib, which is not installed.",
            "Run pip install 'captioner[train]'.",
        ) from error
    names = _figures(history[0])
    figure = Figure(figsize=(3.2 * len(names), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot([h["epoch"] for h in history], [h[name] for h in history], marker="o")
        axes.set_title(label(name))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    figure.savefig(png, dpi=120)


def _figures(metrics: Metrics) -> list[str]:
    return [name for name in metrics if name not in ("epoch", "seconds")]
