"""`captioner evaluate`: metrics of a model on photos with reference captions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, loading, options, outputs, references
from captioner.cli.progress import progress
from captioner.errors import CaptionerError

if TYPE_CHECKING:
    from captioner.training.corpora import Corpus, Example
    from captioner.training.evaluation import Evaluation
    from captioner.training.metrics import Ranking
    from captioner.types import Describer, Description, FloatArray, QueryPlanner


def evaluate(
    *,
    data: references.Data = None,
    language: options.Language = None,
    columns: options.Columns = None,
    split: references.Split = "dev",
    queries: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help='Queries with their relevant photos, one per line: {"query": "red ball", '
            '"relevant": ["a.jpg"]} (repeatable).',
        ),
    ] = None,
    objects: options.Objects = None,
    html: references.Html = None,
    force: references.Force = False,
    limit: references.Limit = None,
    beams: options.Beams = None,
    no_rerank: options.NoRerank = False,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
) -> None:
    """Measure a model's captions and search on photos with reference captions.

    Captions: BLEU, ROUGE-L and CIDEr on plain lower-case words, METEOR if Java is installed, and
    the number of distinct words and sentences. Search: how high a photo ranks when its own captions
    are the query (R@1, 5 and 10, median rank), and how well queries from a file rank their relevant
    photos (mAP, P@5). Objects: precision and recall of the first five keywords, and how often
    captions mention an object that is absent (CHAIR). All figures are ×100, except counts and rank.

    \b
    Examples:
      captioner evaluate --data flickr8k --html sheet.html
      captioner evaluate --data flickr8k --queries dev_queries.jsonl --json
    """
    from captioner.model.options import DescribeOptions
    from captioner.model.query import load_planner
    from captioner.training.corpora import read_objects
    from captioner.training.evaluation import evaluate as measure
    from captioner.training.metrics import read_queries, scorers

    console.configure_output(quiet=quiet, log_file=log_file)
    # Report all input errors before the photos are described.
    scorers()
    query_sets = {str(file): read_queries(file) for file in queries or []}
    annotated = read_objects(objects) if objects else {}
    if html:
        references.check_writable(html, force=force)
    corpus, examples = references.read_examples(
        data, split, limit, language=language, columns=columns
    )
    if objects and not any(example.name in annotated for example in examples):
        raise CaptionerError(
            f"{objects} lists the objects of none of these photos.",
            "Use the file that was made for them.",
        )
    references.warn_of_skipped(corpus)
    model_id, rank = load_planner(model)
    described, failed = _describe(
        examples,
        loading.load(
            DescribeOptions(
                bundle=model,
                device=device,
                precision=precision,
                batch_size=batch_size,
                beam_width=beams,
                rerank=not no_rerank,
                min_confidence=0,  # also measure captions below the threshold
            )
        ),
    )
    console.note(f"{console.counted(len(described))} described; measuring captions and search.")
    with _real_search(described, rank, model_id) as search:
        evaluation = measure(examples, described, rank, search, query_sets, annotated)
    if html:
        with outputs.replacing(html, "--html", force=force) as temporary:
            _write_sheet(temporary, evaluation, corpus, split, model_id)
        console.note(f"Wrote {console.shown(str(html))}.")
    if as_json:
        console.json_line(
            {
                "model": model_id,
                "data": corpus.name,
                "split": split,
                "split_by": corpus.how,
                "failed": failed,
                **evaluation.record(),
            }
        )
    else:
        _print(evaluation)
    if evaluation.scores.note:
        console.note(evaluation.scores.note)
    if failed:
        raise typer.Exit(1)


def _describe(examples: Sequence[Example], describer: Describer) -> tuple[list[Description], int]:
    """Describe photos as `captioner index` does, and count those that failed."""
    from captioner.execution import describe
    from captioner.photos.walk import walk
    from captioner.types import Failure

    described, failed = [], 0
    with progress() as bar:
        bar.planned(len(examples))
        for result in describe(walk(example.path for example in examples), describer):
            if isinstance(result, Failure):
                failed += 1
                path = str(result.path)
                console.cannot_read(path, result.reason)
            else:
                path = str(result.photo.path)
                described.append(result)
            bar.done(path)
    return described, failed


@contextmanager
def _real_search(
    descriptions: Sequence[Description], rank: QueryPlanner, model_id: str
) -> Iterator[Ranking]:
    """The search of an index of these photos and no others."""
    from captioner.index import Index
    from captioner.training.evaluation import by_order

    numbers = {each.photo.path.name: number for number, each in enumerate(descriptions)}
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.open(Path(folder) / "evaluation.db", write=True) as index,
    ):
        index.store(descriptions, model_id)

        def search(query: str) -> FloatArray:
            hits = index.search(query, planner=rank, model_id=model_id, limit=len(numbers))
            found = [Path(path).name for hit in hits for path in (hit.path, *hit.copies)]
            return by_order([numbers[name] for name in found], len(numbers))

        yield search


def _write_sheet(
    file: Path, evaluation: Evaluation, corpus: Corpus, split: str, model_id: str
) -> None:
    from captioner import __version__
    from captioner.training.sheet import sheet

    page = sheet(
        evaluation,
        title=f"{corpus.name}, {split}",
        about=[f"captioner {__version__}, model {model_id}", f"Split: {corpus.how}"],
    )
    file.write_text(page, encoding="utf-8")


def _print(evaluation: Evaluation) -> None:
    groups = _figures(evaluation)
    if not console.stdout_is_terminal():
        for heading, figures in groups:
            for name, value in figures:
                console.line(heading, name, value)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console(highlight=False)
    for heading, figures in groups:
        terminal.print(Text(heading, "bold"))
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, _ in figures:
            table.add_column(Text(name), justify="right")
        table.add_row(*(value for _, value in figures))
        terminal.print(table, "")


def _figures(evaluation: Evaluation) -> list[tuple[str, list[tuple[str, str]]]]:
    from captioner.training.evaluation import MODEL

    scores, recall = evaluation.scores, evaluation.recall
    meteor = [] if scores.meteor is None else [("METEOR", f"{scores.meteor:.1f}")]
    groups = [
        (
            f"captions of {console.counted(len(scores.photo_cider))}",
            [
                *((f"BLEU-{n}", f"{value:.1f}") for n, value in enumerate(scores.bleu, 1)),
                ("ROUGE-L", f"{scores.rouge:.1f}"),
                *meteor,
                ("CIDEr", f"{scores.cider:.1f}"),
                ("words", f"{scores.words_used}"),
                ("sentences", f"{scores.different_captions}"),
            ],
        ),
        (
            f"{recall.queries:,} reference captions as queries, {MODEL}",
            [
                ("R@1", f"{recall.at_1:.1f}"),
                ("R@5", f"{recall.at_5:.1f}"),
                ("R@10", f"{recall.at_10:.1f}"),
                ("median rank", f"{recall.median_rank:g}"),
            ],
        ),
    ]
    for file, precisions in evaluation.precisions.items():
        for ranking, precision in precisions.items():
            figures = [
                ("mAP", f"{precision.mean_average:.1f}"),
                ("P@5", f"{precision.at_5:.1f}"),
            ]
            skipped = f", {precision.left_out} skipped" if precision.left_out else ""
            heading = f"{precision.queries:,} queries of {Path(file).name}{skipped}, {ranking}"
            groups.append((heading, figures))
    if objects := evaluation.objects:
        groups.append((f"objects in {console.counted(objects.photos)}", objects.shown()))
    return groups
