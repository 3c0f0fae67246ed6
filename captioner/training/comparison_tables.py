"""The tables of a comparison: in sections that fit a page, in Markdown, in CSV, and for JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from captioner.training.comparison import Comparison, Measurement, SystemResult
from captioner.training.metrics import Difference
from captioner.training.systems import seeds


def _percent(value: float) -> str:
    return f"{value:.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _millions(value: float) -> str:
    """A number of parameters: "20.9 M", "934.1 k"."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f}"


def _megabytes(value: float) -> str:
    return f"{value / 1e6:.1f} MB"


@dataclass(frozen=True, slots=True)
class _Figure:
    """How a figure of `SystemResult` is called and written in a table."""

    label: str
    text: Callable[[float], str]


_CAPTIONS = {
    "cider": _Figure("CIDEr", _percent),
    **{f"bleu_{n}": _Figure(f"BLEU-{n}", _percent) for n in (1, 2, 3, 4)},
    "rouge_l": _Figure("ROUGE-L", _percent),
    "meteor": _Figure("METEOR", _percent),
    "words_used": _Figure("words", _count),
}
_RETRIEVAL = {f"at_{k}": _Figure(f"R@{k}", _percent) for k in (1, 5, 10)}
_COST = {
    "encoder_parameters": _Figure("encoder", _millions),
    "decoder_parameters": _Figure("decoder", _millions),
    "bytes": _Figure("size", _megabytes),
}
_FIGURES = {**_CAPTIONS, **_RETRIEVAL, **_COST}
"""By the names in `SystemResult.mean`."""


@dataclass(frozen=True, slots=True)
class Table:
    """Some figures of all systems, as text."""

    heading: str
    header: tuple[str, ...]
    """The first is that of the systems' names."""
    rows: tuple[tuple[str, ...], ...]


def sections(comparison: Comparison) -> list[Table]:
    """The comparison in tables that fit a page, without columns and rows that are empty."""
    first = comparison.results[0].name
    tables = [
        _table("captions", comparison, _columns(comparison, _CAPTIONS)),
        _table(f"CIDEr, difference to {first}", comparison, _differences(comparison)),
        _table("reference captions as queries", comparison, _columns(comparison, _RETRIEVAL)),
        _table("parameters, size on disk, speed", comparison, _cost(comparison)),
    ]
    return [
        Table(table.heading, table.header, tuple(row for row in table.rows if any(row[1:])))
        for table in tables
        if len(table.header) > 1
    ]


def markdown(comparison: Comparison) -> str:
    """One table in Markdown, a row for each system."""
    captions = _columns(comparison, _CAPTIONS)
    columns = {
        "CIDEr": captions.pop("CIDEr"),
        **_differences(comparison),
        **captions,
        **_columns(comparison, _RETRIEVAL),
        **_cost(comparison),
    }
    table = _table("", comparison, columns)
    rule = ["---", *("---:" for _ in columns)]
    lines = (
        " | ".join(cell.replace("|", "\\|") for cell in row)
        for row in (table.header, rule, *table.rows)
    )
    return "".join(f"| {line} |\n" for line in lines)


def comma_separated(comparison: Comparison) -> str:
    """A header, and a line for each system with unrounded figures; `_sd` is the deviation."""
    figures = [
        name for name in _FIGURES if any(name in result.mean for result in comparison.results)
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "system",
            "bundles",
            *(column for name in figures for column in (name, f"{name}_sd")),
            *(f"cider_difference{suffix}" for suffix in ("", "_low", "_high", "_p")),
            "photos_per_second",
        ]
    )
    for result, difference in zip(comparison.results, comparison.differences, strict=True):
        mean, deviation = result.mean, result.deviation
        values = [each.get(name) for name in figures for each in (mean, deviation)]
        writer.writerow(
            [
                result.name,
                len(result.measurements),
                *values,
                *(difference or [None] * len(Difference._fields)),
                result.photos_per_second,
            ]
        )
    return file.getvalue()


def records(comparison: Comparison) -> list[dict[str, object]]:
    """For each system all figures, for JSON, rounded to two decimals."""
    return [
        {
            "name": result.name,
            "bundles": [_bundle_record(measured) for measured in result.measurements],
            "mean": _rounded(result.mean),
            "sd": _rounded(result.deviation) or None,
            "difference": difference and {**_rounded(difference._asdict()), "p": difference.p},
            "photos_per_second": result.photos_per_second and round(result.photos_per_second, 2),
        }
        for result, difference in zip(comparison.results, comparison.differences, strict=True)
    ]


def _bundle_record(measured: Measurement) -> dict[str, object]:
    evaluated = measured.evaluation.record()
    return {
        "folder": str(measured.bundle.folder),
        "model": measured.bundle.model_id,
        "encoder": measured.bundle.encoder_id,
        "seeds": list(seeds(measured.bundle)),
        "captions": evaluated["captions"],
        "whole_captions": evaluated["whole_captions"],
    }


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}


def _table(heading: str, comparison: Comparison, columns: Mapping[str, list[str]]) -> Table:
    names = [
        result.name if (count := len(result.measurements)) == 1 else f"{result.name} ({count})"
        for result in comparison.results
    ]
    rows = zip(names, *columns.values(), strict=True)
    return Table(heading, ("system", *columns), tuple(rows))


def _columns(comparison: Comparison, figures: Mapping[str, _Figure]) -> dict[str, list[str]]:
    columns = {
        figure.label: [_cell(result, name, figure) for result in comparison.results]
        for name, figure in figures.items()
    }
    return {label: cells for label, cells in columns.items() if any(cells)}


def _cell(result: SystemResult, name: str, figure: _Figure) -> str:
    """A mean, with its deviation unless all bundles have the same value or it is a cost."""
    mean = result.mean.get(name)
    deviation = None if name in _COST else result.deviation.get(name)
    if mean is None:
        return ""
    return figure.text(mean) + (f" ± {figure.text(deviation)}" if deviation else "")


def _differences(comparison: Comparison) -> dict[str, list[str]]:
    """Columns about the differences in CIDEr to the first system; none if it is the only one."""
    found = comparison.differences
    if not any(found):
        return {}
    return {
        "difference": [f"{each.mean:+.1f}" if each else "" for each in found],
        "95 % interval": [f"{each.low:+.1f} to {each.high:+.1f}" if each else "" for each in found],
        "p": ["" if each is None else f"{each.p:.3f}" if each.p >= 0.001 else "< 0.001"
              for each in found],
    }  # fmt: skip


def _cost(comparison: Comparison) -> dict[str, list[str]]:
    columns = _columns(comparison, _COST)
    paces = [
        f"{result.photos_per_second:.1f}" if result.photos_per_second else ""
        for result in comparison.results
    ]
    return {**columns, "photos/s": paces} if any(paces) else columns
