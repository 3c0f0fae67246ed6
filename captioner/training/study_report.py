"""The HTML report of a study: one file without scripts, with its plots as SVG."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from captioner.training.search_space import Range

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from captioner.training.study import Study

WIDTH, HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 12.0, 34.0
_STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def page(study: Study) -> str:
    """The report as HTML, as far as the study has come."""
    from optuna.trial import TrialState

    trials = [t for t in study.optuna.get_trials() if t.state != TrialState.WAITING]
    done = [t for t in trials if t.state == TrialState.COMPLETE]
    best = study.best
    parts = [
        _HEAD,
        "<h1>Tuning of captioner train</h1>",
        f"<p>{len(trials)} trials: "
        + ", ".join(f"{_count(trials, state)} {name}" for state, name in _STATES.items())
        + ".</p>",
    ]
    if study.base:
        fixed = ", ".join(f"{name} = {value}" for name, value in study.base.items())
        parts.append(f"<p>The same in all: {_text(fixed)}.</p>")
    if best:
        values = ", ".join(f"{name} = {_shown(value)}" for name, value in best.params.items())
        parts += [
            f"<p class=best>Best: <b>{best.value:.2f}</b> CIDEr on dev, trial {best.number}: "
            f"{_text(values)}.</p>",
            "<p>To train with it: <code>captioner train --config best.toml --out FOLDER</code></p>",
        ]
    if done:
        parts += ["<h2>History</h2>", _figure(history(trials), _HISTORY)]
    if shares := importances(study):
        parts += ["<h2>Importance</h2>", _figure(bars(shares), _IMPORTANCE)]
    if done:
        parts.append("<h2>Values</h2>")
        for name, values_ in study.space.items():
            logarithmic = isinstance(values_, Range) and values_.log
            plot = scatter(done, name, logarithmic=logarithmic)
            parts.append(_figure(plot, f"CIDEr by {name}, of finished trials."))
    if any(trial.intermediate_values for trial in trials):
        parts += ["<h2>Epochs</h2>", _figure(epochs(trials), _EPOCHS)]
    parts += ["<h2>Trials</h2>", _table(study, trials), "</main></body></html>\n"]
    return "\n".join(parts)


_HISTORY = (
    "CIDEr of each trial on dev; the line is the best so far, crosses are trials without an end."
)
_IMPORTANCE = (
    "How much of the difference between good and other trials each option explains (PED-ANOVA, "
    "Watanabe et al. 2023)."
)
_EPOCHS = "CIDEr of each trial's first decoder after each epoch; pruned trials are pale."


def importances(study: Study) -> dict[str, float]:
    """The share of each option in what makes trials good, 0 to 1; empty if it is not known yet."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    if len(study.space) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", UserWarning)  # too few trials to tell: all shares are equal
        try:
            evaluator = PedAnovaImportanceEvaluator()
            return dict(get_param_importances(study.optuna, evaluator=evaluator))
        except (RuntimeError, ValueError, UserWarning):
            return {}


def history(trials: Sequence[FrozenTrial]) -> str:
    """CIDEr by the number of the trial, as SVG."""
    points = [(float(t.number), _value(t), t) for t in trials if _value(t) is not None]
    axes = _Axes([x for x, _, _ in points], [y for _, y, _ in points if y is not None])
    drawn, best = [], None
    path = []
    for x, y, trial in points:
        if y is None:
            continue
        label = f"trial {trial.number}: {y:.2f}"
        if trial.state.name == "COMPLETE":
            best = y if best is None else max(best, y)
            drawn.append(_dot(axes.x(x), axes.y(y), label))
        else:
            state = _STATES[trial.state.name]
            drawn.append(_cross(axes.x(x), axes.y(y), f"{label}, {state}"))
        if best is not None:
            path.append((axes.x(x), axes.y(best)))
    return axes.svg([_line(path, "best"), *drawn], "trial")


def epochs(trials: Sequence[FrozenTrial]) -> str:
    """The course of CIDEr in each trial, as SVG."""
    curves = [(t, sorted(t.intermediate_values.items())) for t in trials if t.intermediate_values]
    axes = _Axes(
        [float(step) for _, curve in curves for step, _ in curve],
        [value for _, curve in curves for _, value in curve],
    )
    lines = [
        _line(
            [(axes.x(float(step)), axes.y(value)) for step, value in curve],
            "pale" if trial.state.name != "COMPLETE" else "curve",
        )
        for trial, curve in curves
    ]
    return axes.svg(lines, "epoch")


def scatter(trials: Sequence[FrozenTrial], name: str, *, logarithmic: bool) -> str:
    """CIDEr by the value of one option, as SVG."""
    values = [trial.params[name] for trial in trials]
    names: list[Any] | None = None
    place: Callable[[Any], float] = float
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        names = list(dict.fromkeys(values))
        place = names.index
    elif logarithmic:
        place = log10
    axes = _Axes(
        [place(one) for one in values], [trial.value or 0.0 for trial in trials],
        names=names, logarithmic=logarithmic,
    )  # fmt: skip
    dots = [
        _dot(
            axes.x(place(value)), axes.y(trial.value or 0.0),
            f"trial {trial.number}: {_shown(value)}, {trial.value:.2f}",
        )
        for trial, value in zip(trials, values, strict=True)
    ]  # fmt: skip
    return axes.svg(dots, name)


def bars(shares: dict[str, float]) -> str:
    """Horizontal bars, the longest first, as SVG."""
    left, step = 150.0, 26.0
    width = WIDTH - left - 60
    parts = []
    for row, (name, share) in enumerate(sorted(shares.items(), key=lambda one: -one[1])):
        y = row * step
        parts += [
            f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{_text(name)}</text>',
            f'<rect class="bar" x="{left}" y="{y + 4}" width="{max(1, share * width):.1f}" '
            f'height="18" rx="3"/>',
            f'<text x="{left + share * width + 6:.1f}" y="{y + 17}">{100 * share:.0f} %</text>',
        ]
    return _svg(parts, HEIGHT=len(shares) * step)


class _Axes:
    """The two axes of a plot: from figures to places, and what is written beside them."""

    def __init__(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        *,
        names: Sequence[Any] | None = None,
        logarithmic: bool = False,
    ) -> None:
        self._names, self._logarithmic = names, logarithmic
        self._x = _widened(min(xs), max(xs))
        self._y = _widened(min(ys), max(ys))

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def svg(self, marks: Iterable[str], title: str) -> str:
        base = HEIGHT - _BOTTOM
        grid = []
        for value in _ticks(*self._y):
            y = self.y(value)
            grid += [
                f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>',
            ]
        for value, label in self._labels():
            x = self.x(value)
            grid.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle">{label}</text>')
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        grid.append(
            f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{_text(title)}</text>'
        )
        return _svg([*grid, *marks])

    def _labels(self) -> list[tuple[float, str]]:
        if self._names is not None:
            return [(float(n), _text(str(name))) for n, name in enumerate(self._names)]
        if self._logarithmic:
            return [(log10(value), f"{value:g}") for value in _decades(*self._x)]
        return [(value, f"{value:g}") for value in _ticks(*self._x)]


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.06 or max(abs(high), 1.0) * 0.05
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers between two."""
    step = 10.0 ** (int(log10(high - low)) - 1 if high - low > 1 else int(log10(high - low)) - 2)
    for factor in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if (high - low) / (step * factor) <= 7:
            step *= factor
            break
    first = int(low / step) if low < 0 else int(low / step) + 1
    found = [round((first + n) * step, 10) for n in range(9)]
    return [value for value in found if low <= value <= high]


def _decades(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten: 1, 2 and 5 times each power, or powers alone."""
    steps = (1, 2, 5) if high - low < 3 else (1,)
    every = (step * 10.0**power for power in range(floor(low), ceil(high) + 1) for step in steps)
    return [float(f"{value:.12g}") for value in every if low <= log10(value) <= high]


def _svg(parts: Iterable[str], HEIGHT: float = HEIGHT) -> str:  # noqa: N803 (of this plot)
    return f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">{"".join(parts)}</svg>'


def _dot(x: float, y: float, label: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{_text(label)}</title></circle>'


def _cross(x: float, y: float, label: str) -> str:
    path = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
    return f'<path class="cross" d="{path}"><title>{_text(label)}</title></path>'


def _line(points: Sequence[tuple[float, float]], kind: str) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"/>' if points else ""


def _value(trial: FrozenTrial) -> float | None:
    """Its CIDEr; that of its best epoch if it was pruned."""
    if trial.state.name == "COMPLETE":
        return trial.value
    return max(trial.intermediate_values.values(), default=None)


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{_text(caption)}</figcaption></figure>"


def _table(study: Study, trials: Sequence[FrozenTrial]) -> str:
    names = list(study.space)
    head = "".join(f"<th>{_text(name)}</th>" for name in ("trial", "state", "CIDEr", *names))
    best = study.best
    rows = []
    for trial in sorted(trials, key=lambda one: -(_value(one) or 0.0)):
        value = _value(trial)
        reason = str(trial.user_attrs.get("reason", ""))
        state = "interrupted" if trial.user_attrs.get("interrupted") else _STATES[trial.state.name]
        cells = (
            str(trial.number), f"{state} {reason}".strip(),
            "" if value is None else f"{value:.2f}",
            *(_shown(trial.params.get(name, "")) for name in names),
        )  # fmt: skip
        kind = " class=best" if best and trial.number == best.number else ""
        rows.append(f"<tr{kind}>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _count(trials: Sequence[FrozenTrial], state: str) -> int:
    return sum(trial.state.name == state for trial in trials)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "backslashreplace").decode())


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tuning of captioner train</title><style>
:root{color-scheme:light dark;--page:#f6f5f2;--card:#fff;--ink:#1d1f21;--soft:#5f646a;
--line:#e2e0da;--accent:#0b6e6e}
@media(prefers-color-scheme:dark){:root{--page:#16181a;--card:#1f2225;--ink:#e9e7e2;
--soft:#a3a9af;--line:#33373b;--accent:#5cc3bd}}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:60rem;margin:auto;padding:1.5rem}
h1{font-size:1.7rem;margin:.5rem 0}h2{font-size:1.2rem;margin:1.8rem 0 .4rem}
p{overflow-wrap:anywhere}p.best{font-size:1.1rem}
figure{margin:.8rem 0;max-width:44rem;background:var(--card);border:1px solid var(--line);
border-radius:.6rem;padding:.8rem}
figcaption{color:var(--soft);font-size:.85rem}
svg{width:100%;display:block;overflow:visible}
svg text{fill:var(--soft);font-size:12px}
svg line{stroke:var(--line)}
svg circle,svg .bar{fill:var(--accent)}
svg .cross{stroke:var(--soft);stroke-width:1.5;fill:none}
svg polyline{fill:none;stroke:var(--accent);stroke-width:1.5}
svg .best{stroke-width:2;opacity:.55}svg .curve{opacity:.8}svg .pale{stroke:var(--soft);opacity:.5}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem 1rem .3rem 0;border-bottom:1px solid var(--line);text-align:left}
th{color:var(--soft);font-weight:400}tr.best td{font-weight:600}
div{overflow-x:auto}
</style></head><body><main>"""
