"""`captioner compare`: several models measured on the same photos, in one table."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner import __version__
from captioner.cli import console, loading, options, outputs, references
from captioner.cli.interrupt import finishing
from captioner.cli.progress import progress
from captioner.errors import CaptionerError, UsageError

if TYPE_CHECKING:
    from captioner.model.describer import Model
    from captioner.training.comparison import Comparison, Measurement, SystemResult
    from captioner.training.corpora import Example
    from captioner.training.systems import System
    from captioner.types import Description

SPEED_PHOTOS = 200
"""Photos that a repeat of the time measurement describes, at most."""


def compare(
    bundles: Annotated[
        list[str],
        typer.Argument(
            metavar="BUNDLE...",
            help="Folders of model bundles, or NAME=BUNDLE,BUNDLE,... for bundles that are "
            "averaged. Bundles of one configuration that differ in their seeds are averaged too.",
        ),
    ],
    *,
    data: references.Data = None,
    split: references.Split = "dev",
    limit: references.Limit = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table in Markdown.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table in CSV.")] = False,
    as_json: options.Json = False,
    html: references.Html = None,
    force: references.Force = False,
    resamples: Annotated[
        int, typer.Option(min=100, metavar="N", help="Bootstrap samples of the photos.")
    ] = 10_000,
    repeats: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Measure each model's speed N times, in turns; 0: do not."
        ),
    ] = 3,
    beams: options.Beams = None,
    no_rerank: options.NoRerank = False,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Compare models on photos with reference captions.

    The figures are those of `captioner evaluate`: CIDEr, BLEU, ROUGE-L, METEOR if Java is
    installed, distinct words, and the recall of captions as queries, all ×100; besides, each
    model's parameters, size on disk and photos per second. Differences in CIDEr to the first model
    come with a 95 % confidence interval and a p-value, from a paired bootstrap over the photos.
    Models of one configuration with different seeds are one row: mean ± standard deviation.

    Photos are decoded once for all models, and encoded once for those with the same encoder. Ctrl-C
    compares the models on the photos that were done.

    \b
    Examples:
      captioner compare small large --data flickr8k
      captioner compare merge=m1,m2,m3 attention=a1,a2,a3 --no-rerank --beams 3 --markdown
    """
    from captioner.model.options import DescribeOptions
    from captioner.training import comparison_tables as tables
    from captioner.training.comparison import Comparison, select_systems
    from captioner.training.metrics import scorers
    from captioner.training.systems import read_systems

    console.configure_output(quiet=quiet, log_file=log_file)
    # Report all input errors before the photos are described.
    scorers()
    if as_markdown + as_csv + as_json > 1:
        raise UsageError(
            "--markdown, --csv and --json are mutually exclusive.", "Keep one of them."
        )
    if html:
        references.check_writable(html, force=force)
    # Folders may have any names.
    systems = [replace(each, name=console.shown(each.name)) for each in read_systems(bundles)]
    if html:
        _check_outside(html, systems)
    corpus, examples = references.read_examples(data, split, limit)
    references.warn_of_skipped(corpus)
    how = DescribeOptions(
        device=device,
        precision=precision,
        batch_size=batch_size,
        beam_width=beams,
        rerank=not no_rerank,
        min_confidence=0,  # also measure captions below the threshold
    )
    models = loading.load_several(
        [replace(how, bundle=bundle.folder) for system in systems for bundle in system.bundles]
    )
    described = _describe(examples, models)
    console.note(f"{console.counted(described.photos)} described; measuring captions and search.")
    measured, stopped = _measure(examples, models, described)
    results = select_systems(systems, measured)
    exit_code = described.exit_code or stopped
    if repeats and not exit_code:
        results, exit_code = _with_speed(results, models, examples, repeats)
    comparison = Comparison.of(results, resamples=resamples)
    if as_json:
        console.json_line(
            {
                "data": corpus.name,
                "split": split,
                "split_by": corpus.how,
                "photos": described.photos,
                "failed": described.failed,
                "beams": beams,
                "rerank": not no_rerank,
                "resamples": resamples,
                "systems": tables.records(comparison),
            }
        )
    else:
        _print(comparison, as_markdown=as_markdown, as_csv=as_csv)
    if html:
        about = [
            f"captioner {__version__}, {console.counted(described.photos)}",
            f"Split: {corpus.how}",
            ("Beam search alone" if no_rerank else "As each model captions photos")
            + (f", beam width {beams}" if beams else ""),
        ]
        _write_page(html, comparison, f"{corpus.name}, {split}", about, force=force)
    if note := next(iter(measured.values())).evaluation.scores.note:
        console.note(note)
    if exit_code:
        console.note(f"Interrupted: {_done(described, examples, measured, models)}.")
    if exit_code or described.failed:
        raise typer.Exit(exit_code or 1)


def _check_outside(html: Path, systems: Sequence[System]) -> None:
    """Check that a page is not written into a bundle."""
    for folder in (bundle.folder for system in systems for bundle in system.bundles):
        if html.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{html} is inside the bundle {folder}.", "Use another file for --html."
            )


@dataclass(frozen=True, slots=True)
class _Described:
    """What models say about the same photos."""

    by_model: dict[str, list[Description]]
    """By `model_id`."""
    failed: int
    """Photos that could not be read."""
    exit_code: int
    """0 unless a signal stopped it early."""

    @property
    def photos(self) -> int:
        return len(next(iter(self.by_model.values())))


def _describe(examples: Sequence[Example], models: Sequence[Model]) -> _Described:
    """Describe photos with all models, until a signal."""
    import numpy as np

    from captioner.execution.several import describe_each
    from captioner.photos.walk import walk
    from captioner.types import Failure

    no_feature = np.empty(0, np.float16)  # the figures need none
    found: dict[str, list[Description]] = {model.model_id: [] for model in models}
    failed = 0
    photos = walk(example.path for example in examples)
    with progress() as bar, finishing() as stop, closing(describe_each(photos, models)) as results:
        bar.planned(len(examples))
        for result in results:
            if isinstance(result, Failure):
                failed += 1
                path = str(result.path)
                console.cannot_read(path, result.reason)
            else:
                path = str(result[0].photo.path)
                for descriptions, description in zip(found.values(), result, strict=True):
                    descriptions.append(replace(description, feature=no_feature))
            bar.done(path)
            if stop():
                break
    described = _Described(found, failed, stop.exit_code if stop() else 0)
    if not described.photos:
        if stop():
            console.note("Interrupted.")
            raise typer.Exit(stop.exit_code)
        raise CaptionerError("there is nothing to compare: no photo was captioned.")
    return described


def _measure(
    examples: Sequence[Example], models: Sequence[Model], described: _Described
) -> tuple[dict[str, Measurement], int]:
    """Measure each model, by its id, until a signal; and the signal's exit code, or 0."""
    from captioner.model.query import load_planner
    from captioner.training.comparison import Measurement
    from captioner.training.evaluation import by_vectors, evaluate

    measured = {}
    with progress(unit="model") as bar, finishing() as stop:
        bar.planned(len(models))
        for model in models:
            _, rank = load_planner(model.bundle.folder)
            own = described.by_model[model.model_id]
            evaluation = evaluate(examples, own, rank, by_vectors(rank, own), {})
            measured[model.model_id] = Measurement.of(model.bundle, evaluation)
            bar.done(str(model.bundle.folder))
            if stop():
                break
    return measured, stop.exit_code if stop() else 0


def _with_speed(
    results: Sequence[SystemResult],
    models: Sequence[Model],
    examples: Sequence[Example],
    repeats: int,
) -> tuple[list[SystemResult], int]:
    """Add the speed of each system's first bundle; and a signal's exit code, or 0."""
    from captioner.execution import describe
    from captioner.photos.walk import walk
    from captioner.training.comparison import median_pace, seconds_side_by_side

    paths = [example.path for example in examples[:SPEED_PHOTOS]]
    by_id = {model.model_id: model for model in models}
    timed = [by_id[result.measurements[0].bundle.model_id] for result in results]
    seconds: list[list[float]] = [[] for _ in timed]
    with progress(unit="run") as bar, finishing() as stop:

        def run(model: Model) -> None:
            with closing(describe(walk(paths), model)) as described:
                for _ in described:
                    if stop():
                        break

        bar.planned(len(timed) * repeats)
        work = [partial(run, model) for model in timed]
        for number, duration in seconds_side_by_side(work, repeats):
            if stop():  # which cut the last one short
                break
            seconds[number].append(duration)
            bar.done(f"speed of {results[number].name}")
    paced = [
        replace(result, photos_per_second=median_pace(len(paths), each))
        for result, each in zip(results, seconds, strict=True)
    ]
    return paced, stop.exit_code if stop() else 0


def _done(
    described: _Described,
    examples: Sequence[Example],
    measured: Sized,
    models: Sized,
) -> str:
    """What an interrupted comparison is about."""
    photos = described.photos + described.failed
    return (
        f"{photos:,} of {console.counted(len(examples))} described, "
        f"{len(measured)} of {console.counted(len(models), 'model')} measured"
    )


def _write_page(
    file: Path, comparison: Comparison, title: str, about: Sequence[str], *, force: bool
) -> None:
    from captioner.training.comparison_sheet import comparison_sheet

    with outputs.replacing(file, "--html", force=force) as temporary:
        page = comparison_sheet(comparison, title=title, about=about)
        temporary.write_text(page, encoding="utf-8")
    console.note(f"Wrote {console.shown(str(file))}.")


def _print(comparison: Comparison, *, as_markdown: bool, as_csv: bool) -> None:
    from captioner.training import comparison_tables as tables

    if as_markdown or as_csv:
        text = tables.markdown(comparison) if as_markdown else tables.comma_separated(comparison)
        for line in text.splitlines():
            console.line(line)
        return
    if not console.stdout_is_terminal():
        for table in tables.sections(comparison):
            for name, *values in table.rows:
                for label, value in zip(table.header[1:], values, strict=True):
                    console.line(table.heading, name, label, value)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console(highlight=False)
    for table in tables.sections(comparison):
        terminal.print(Text(console.shown(table.heading), "bold"))
        grid = Table(box=None, pad_edge=False, header_style="dim")
        for number, label in enumerate(table.header):
            grid.add_column(Text(label), justify="right" if number else "left")
        for row in table.rows:
            grid.add_row(*(Text(console.shown(cell)) for cell in row))
        terminal.print(grid, "")
