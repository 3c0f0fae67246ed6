"""`captioner caption`: prints captions for photos, each as soon as it is ready."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from captioner.cli import console, executors, loading, options, streams, updating
from captioner.cli.interrupt import finishing
from captioner.cli.paths import InputPaths
from captioner.cli.progress import progress
from captioner.errors import UsageError
from captioner.filenames import distinct_names

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
    model: options.Models = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
    executor: options.Executor = "auto",
    staging: options.Staging = None,
) -> None:
    """Print a caption for each photo.

    For a single photo, only its caption. Otherwise one line per photo: path, caption and, with
    --keywords, keywords, separated by tabs; with --alternatives, one line per caption. If no
    caption is reliable enough, keywords replace it: airliner, wing, sky.

    With several --model, each line also names its model, before the caption.

    \b
    Examples:
      captioner caption photo.jpg
      captioner caption --keywords 5 holiday/
      captioner caption --json holiday/ > captions.jsonl
      captioner caption --model small --model large photo.jpg
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

    bundles = _bundles(model, executor)
    describe_options = DescribeOptions(
        device=device,
        precision=precision,
        batch_size=batch_size,
        beam_width=beams,
        alternatives=alternatives,
        keywords=max(keywords or 0, DEFAULT_KEYWORDS),
        min_confidence=min_confidence,
    )

    def load(photos: int | None) -> Sequence[Describer]:
        each = [replace(describe_options, bundle=one.folder, photos=photos) for one in bundles]
        with bar.preparing("loading the model"):
            if len(each) > 1:
                describers = loading.load_several(each)
            else:
                describers = [loading.load(each[0], start=executor != "ray")]
        streams.clear_status()
        return describers

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
                path = inputs.spelled(result[0].photo.path)
                if as_json:
                    records = [_record(each, keywords, alternatives > 1) for each in result]
                    console.json_line({"path": path, **_joined(records, bundles)})
                else:
                    _print(None if inputs.one_file else path, result, bundles, keywords)
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


class _Bundle(NamedTuple):
    """A model of the command line."""

    folder: Path | None
    """None: the default one."""
    name: str = ""
    """Short, and different from those of the others; empty if there is no other."""
    model_id: str = ""
    """Likewise."""


def _bundles(chosen: Sequence[Path] | None, executor: str) -> list[_Bundle]:
    """The bundles of `--model`.

    Raises
    ------
    UsageError
        If one of several is no bundle, two are the same model, or a cluster is to run them.
    """
    if not chosen or len(chosen) == 1:
        return [_Bundle(chosen[0] if chosen else None)]
    if executor == "ray":
        raise UsageError(
            "--executor ray runs one model at a time.", "Name one --model, or use another executor."
        )
    from captioner.model.bundle import Bundle

    found: dict[str, Path] = {}
    for folder in chosen:
        model_id = Bundle.open(folder).model_id
        if model_id in found:
            raise UsageError(
                f"{found[model_id]} and {folder} are the same model, {model_id}.",
                "Name each model once.",
            )
        found[model_id] = folder
    return list(map(_Bundle, found.values(), distinct_names(list(found.values())), found))


def _described(
    photos: Iterator[Photo | Failure],
    load: Callable[[int | None], Sequence[Describer]],
    choose: Callable[[], Executor],
    *,
    endless: bool,
) -> Generator[tuple[Description, ...] | Failure, None, None]:
    """Describe photos with one or more models, in order if the executor keeps it.

    Parameters
    ----------
    load
        Loads the models, once there is a photo for them, given their number if they are few.
    choose
        Makes the executor, once there is a photo for it.
    endless
        Whether to load the models without waiting to see if there are few photos.
    """
    from captioner.execution import StagingExecutor
    from captioner.execution.several import describe_each
    from captioner.model.options import FEW_PHOTOS
    from captioner.types import Failure

    for photo in photos:
        if isinstance(photo, Failure):
            yield photo
        else:
            first = [photo, *islice(photos, 0 if endless else FEW_PHOTOS)]
            few = not endless and len(first) <= FEW_PHOTOS
            executor = choose()
            describers = load(len(first) if few else None)
            every = chain(first, photos)
            if len(describers) > 1:
                yield from describe_each(every, describers, executor)
                return
            for result in executor.describe(every, describers[0]):
                yield result if isinstance(result, Failure) else (result,)
            if isinstance(executor, StagingExecutor):
                executor.stored()


def _keyword_text(description: Description, keywords: int) -> str:
    """The first keywords; empty if keywords replace the caption already."""
    from captioner.types import keyword_text

    if not description.captions:
        return ""
    return keyword_text(k.word for k in description.keywords[:keywords])


def _print(
    path: str | None,
    descriptions: Sequence[Description],
    bundles: Sequence[_Bundle],
    keywords: int | None,
) -> None:
    """Print what each model says about a photo; several with their names."""
    for description, bundle in zip(descriptions, bundles, strict=True):
        captions = [each.text for each in description.captions] or [
            description.text or console.NOT_RECOGNISED
        ]
        words = _keyword_text(description, keywords) if keywords else None
        if console.stdout_is_terminal():
            named = [f"{bundle.name}: {text}" if bundle.name else text for text in captions]
            console.block(None if bundle is not bundles[0] else path, named, footer=words or "")
            continue
        for text in captions:
            fields = (path, bundle.name or None, text, words)
            console.line(*(field for field in fields if field is not None))


def _joined(records: Sequence[dict[str, object]], bundles: Sequence[_Bundle]) -> dict[str, object]:
    """The record of one model, or those of several as `captions`."""
    if len(records) == 1:
        return records[0]
    return {
        "captions": [
            {"folder": str(bundle.folder), "model": bundle.model_id, **record}
            for bundle, record in zip(bundles, records, strict=True)
        ]
    }


def _record(
    description: Description, keywords: int | None, with_alternatives: bool
) -> dict[str, object]:
    best = description.captions[0] if description.captions else None
    record: dict[str, object] = {
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
