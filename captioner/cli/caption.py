"""`captioner caption`: sentences for photos, as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, keeping, loading, options
from captioner.cli.interrupt import finishing
from captioner.cli.paths import Given
from captioner.cli.progress import progress

if TYPE_CHECKING:
    from captioner.types import Describer, Description, Failure, Photo


def caption(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Photos, folders, or - for paths on standard input, one a line."
        ),
    ],
    *,
    alternatives: Annotated[
        int, typer.Option(min=1, max=30, metavar="N", help="Sentences for each photo, best first.")
    ] = 1,
    keywords: Annotated[
        bool, typer.Option("--keywords", help="Print what is seen in each photo, too.")
    ] = False,
    min_confidence: options.MinConfidence = None,
    as_json: options.Json = False,
    nul: options.Nul = False,
    exclude: options.Exclude = None,
    include_hidden: options.Hidden = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    beams: options.Beams = None,
    batch_size: options.BatchSize = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Print a sentence for each photo.

    One photo by name: its sentence alone. Else a line a photo: path, sentence and, with
    --keywords, what is seen, parted by tabs; more than one sentence, more than one line.
    Where no sentence is to be trusted, keywords stand in its place: airliner, wing, sky.
    With --json: path, caption, kind (sentence or keywords), score (0 to 1), keywords and, with
    --alternatives, the others.

    \b
    Examples:
      captioner caption photo.jpg
      captioner caption --json holiday/ > captions.jsonl
      find . -name '*.jpg' -print0 | captioner caption -0 -
    """
    from captioner.photos.walk import Selection, walk
    from captioner.types import Failure

    def load() -> Describer:
        with bar.preparing("loading the model"):
            return loading.load(
                model,
                device=device,
                precision=precision,
                beams=beams,
                alternatives=alternatives,
                batch_size=batch_size,
                min_confidence=min_confidence,
            )

    console.configure(quiet=quiet, log_file=log_file)
    given = Given(paths, nul=nul)
    selection = Selection(tuple(exclude or ()), include_hidden)
    skipped = keeping.Skipped(given)
    total = failed = 0
    # Where captions scroll by on the terminal, they are the progress.
    with (
        progress(quiet=given.one_file or console.for_the_eye()) as bar,
        finishing() as stop,
        closing(_described(walk(given, selection, skipped), load)) as results,
    ):
        for result in takewhile(lambda _: not stop(), results):
            total += 1
            if isinstance(result, Failure):
                failed += 1
                path = given.spelled(result.path)
                console.cannot_read(path, result.reason)
                if as_json:
                    console.json_line({"path": path, "error": result.reason})
            else:
                path = given.spelled(result.photo.path)
                if as_json:
                    console.json_line(_record(path, result, alternatives > 1))
                else:
                    _print(
                        None if given.one_file else path,
                        [each.text for each in result.captions] or [result.text or console.NOTHING],
                        _seen(result) if keywords else None,
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
    photos: Iterator[Photo | Failure], load: Callable[[], Describer]
) -> Generator[Description | Failure, None, None]:
    """Describe photos in order; the model is loaded once there is a photo for it."""
    from captioner.pipeline import describe
    from captioner.types import Failure

    for photo in photos:
        if isinstance(photo, Failure):
            yield photo
        else:
            yield from describe(chain([photo], photos), load())


def _seen(description: Description) -> str:
    """The keywords; empty where they stand in the place of a sentence already."""
    from captioner.types import in_place

    return in_place(k.word for k in description.keywords) if description.captions else ""


def _print(path: str | None, sentences: list[str], seen: str | None) -> None:
    if console.for_the_eye():
        console.block(path, sentences, aside=seen or "")
        return
    for sentence in sentences:
        console.line(*(field for field in (path, sentence, seen) if field is not None))


def _record(path: str, description: Description, with_alternatives: bool) -> dict[str, object]:
    best = description.captions[0] if description.captions else None
    record: dict[str, object] = {
        "path": path,
        "caption": description.text,
        # What the caption is: keywords where no sentence is to be trusted.
        "kind": "sentence" if best else "keywords",
        "score": best and round(float(best.score), 4),
        "keywords": [
            {"word": k.word, "probability": round(float(k.probability), 4)}
            for k in description.keywords
        ],
    }
    if with_alternatives:
        record["alternatives"] = [
            {"caption": c.text, "score": round(float(c.score), 4)} for c in description.captions[1:]
        ]
    return record
