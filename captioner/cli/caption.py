"""`captioner caption`: prints captions for photos, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, executors, loading, options, streams, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.cli.progress import progress

if TYPE_CHECKING:
    from captioner.execution import Executor
    from captioner.types import Describer, Description, Failure, Photo


def caption(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Photos, folders, or - for paths on standard input, one per line.",
        ),
    ],
    *,
    alternatives: Annotated[
        int, typer.Option(min=1, max=30, metavar="N", help="Captions per photo, best first.")
    ] = 1,
    keywords: options.Keywords = None,
    min_confidence: options.MinConfidence = None,
    as_json: options.Json = False,
    nul: options.Null = False,
    exclude: options.Exclude = None,
    include_hidden: options.Hidden = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    beams: options.Beams = None,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
    executor: options.Executor = "auto",
    staging: options.Staging = None,
) -> None:
    """Print a caption for each photo.

    For a single photo, only its caption. Otherwise one line per photo: path, caption and, with
    --keywords, keywords, separated by tabs; with --alternatives, one line per caption. If no
    caption is reliable enough, keywords replace it: airliner, wing, sky.

    \b
    Examples:
      captioner caption photo.jpg
      captioner caption --keywords 5 holiday/
      captioner caption --json holiday/ > captions.jsonl
      find . -name '*.jpg' -print0 | captioner caption -0 -
    """
    console.configure_output(quiet=quiet, log_file=log_file)
    inputs = InputPaths(paths, nul=nul)
    # Captions printed to the terminal show the progress themselves.
    shows_progress = not (inputs.one_file or console.stdout_is_terminal())
    if not shows_progress:
        console.status("Loading the model...")

    from dataclasses import replace

    from captioner.model.options import DEFAULT_KEYWORDS, DescribeOptions
    from captioner.photos.walk import Selection, walk
    from captioner.types import Failure

    describe_options = DescribeOptions(
        bundle=model,
        device=device,
        precision=precision,
        batch_size=batch_size,
        beam_width=beams,
        alternatives=alternatives,
        keywords=max(keywords or 0, DEFAULT_KEYWORDS),
        min_confidence=min_confidence,
    )

    def load(photos: int | None) -> Describer:
        with bar.preparing("loading the model"):
            describer = loading.load(
                replace(describe_options, photos=photos), start=executor != "ray"
            )
        streams.clear_status()
        return describer

    chosen = executors.chosen(executor, staging)
    selection = Selection(tuple(exclude or ()), include_hidden)
    skipped = updating.Skipped(inputs)
    total = failed = 0
    with (
        progress(quiet=not shows_progress) as bar,
        finishing() as stop,
        closing(
            _described(walk(inputs, selection, skipped), load, chosen, endless="-" in paths)
        ) as results,
    ):
        for result in takewhile(lambda _: not stop(), results):
            total += 1
            if isinstance(result, Failure):
                failed += 1
                path = inputs.spelled(result.path)
                console.cannot_read(path, result.reason)
                if as_json:
                    console.json_line({"path": path, "error": result.reason})
            else:
                path = inputs.spelled(result.photo.path)
                if as_json:
                    console.json_line(_record(path, result, keywords, alternatives > 1))
                else:
                    _print(
                        None if inputs.one_file else path,
                        [each.text for each in result.captions]
                        or [result.text or console.NOT_RECOGNISED],
                        _keyword_text(result, keywords) if keywords else None,
                    )
            bar.done(path)
    skipped.sum_up()
    if stop():
        console.note("Interrupted.")
        raise typer.Exit(stop.exit_code)
    if not total:
        console.note("No photos found.")
    if failed:
        if total > 1:
            console.note(f"{console.counted(failed)} of {total:,} could not be read.")
        raise typer.Exit(1)


def _described(
    photos: Iterator[Photo | Failure],
    load: Callable[[int | None], Describer],
    choose: Callable[[], Executor],
    *,
    endless: bool,
) -> Generator[Description | Failure, None, None]:
    """Describe photos, in order if the executor keeps it.

    Parameters
    ----------
    load
        Loads the model, once there is a photo for it, given their number if they are few.
    choose
        Makes the executor, once there is a photo for it.
    endless
        Whether to load the model without waiting to see if there are few photos.
    """
    from captioner.execution import StagingExecutor
    from captioner.model.options import FEW_PHOTOS
    from captioner.types import Failure

    for photo in photos:
        if isinstance(photo, Failure):
            yield photo
        else:
            first = [photo, *islice(photos, 0 if endless else FEW_PHOTOS)]
            few = not endless and len(first) <= FEW_PHOTOS
            executor = choose()
            describer = load(len(first) if few else None)
            yield from executor.describe(chain(first, photos), describer)
            if isinstance(executor, StagingExecutor):
                executor.stored()


def _keyword_text(description: Description, keywords: int) -> str:
    """The first keywords; empty if keywords replace the caption already."""
    from captioner.types import keyword_text

    if not description.captions:
        return ""
    return keyword_text(k.word for k in description.keywords[:keywords])


def _print(path: str | None, captions: list[str], keywords: str | None) -> None:
    if console.stdout_is_terminal():
        console.block(path, captions, footer=keywords or "")
        return
    for caption_text in captions:
        console.line(*(field for field in (path, caption_text, keywords) if field is not None))


def _record(
    path: str, description: Description, keywords: int | None, with_alternatives: bool
) -> dict[str, object]:
    best = description.captions[0] if description.captions else None
    record: dict[str, object] = {
        "path": path,
        "caption": description.text or None,
        "kind": "sentence" if best else "keywords" if description.text else None,
        "source": "model" if description.text else None,
        "confidence": best and round(float(best.confidence), 4),
        "keywords": [
            {"word": k.word, "probability": round(float(k.probability), 4)}
            for k in description.keywords[:keywords]
        ],
    }
    if with_alternatives:
        record["alternatives"] = [
            {"caption": c.text, "confidence": round(float(c.confidence), 4)}
            for c in description.captions[1:]
        ]
    return record
