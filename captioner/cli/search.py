"""`captioner search`: photos from a few words, and from what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, hits, options
from captioner.cli.exclusions import SearchCommand
from captioner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from captioner.index import Filters, Hit, Index

COMMAND = SearchCommand


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY...]",
            help='Words or a sentence. A "quoted phrase" must be in the caption or in your own '
            "words; -word leaves out photos with that word. Without words: the newest photos.",
        ),
    ] = None,
    *,
    limit: options.Limit = 10,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Search captions and your own words, not what the model saw."),
    ] = False,
    min_score: options.MinScore = None,
    folders: options.Folders = None,
    after: options.After = None,
    before: options.Before = None,
    camera: options.Camera = None,
    near: options.Near = None,
    keyword: options.Keyword = None,
    as_json: options.Json = False,
    print_path: options.PrintPath = False,
    nul: options.PrintNull = False,
    preview: options.Preview = False,
    open_them: options.Open = False,
    quiet: options.Quiet = False,
    log_file: options.LogFile = None,
    database: options.Database = None,
    model: options.Model = None,
) -> None:
    """Find photos in the index from a few words, or from where, when and how they were taken.

    Photos with your own words come first: captions, titles and keywords in files and sidecars,
    edited captions, names of files and folders. Then come photos in which the model saw what you
    ask for. One line per photo, best first: path, caption and score, separated by tabs. The score
    is how likely the photo fits, 0 to 1; photos that score below 0.03 are left out unless
    --min-score says otherwise. Copies of a photo and missing photos are left out, too.
    -0 prints the paths alone.

    \b
    Examples:
      captioner search dog running
      captioner search beach -people
      captioner search '"red ball"' --limit 50
      captioner search beach --after 2024-05 --near 43.3,5.4,50
      captioner search -0 boats at night | xargs -0 cp -t boats
    """
    from captioner.index import Filters, Index
    from captioner.places import database_path

    words = " ".join(query or [])
    console.configure_output(quiet=quiet, log_file=log_file)
    form = hits.form(as_json=as_json, print_path=print_path, nul=nul, preview=preview)
    filters = Filters.parse(folders, after, before, camera, near, keyword)
    with Index.open(database or database_path()) as index:
        found, weak = _find(index, query, limit, exact, min_score, filters, model)
        hits.print_hits(found, form, preview=preview)
        if weak:
            console.note("No photo fits well: --min-score 0 shows the nearest.")
        elif not found:
            _say_what_next(words, index, filters, exact=exact)
    if open_them:
        hits.open_hits(found)


def _find(
    index: Index,
    query: list[str] | None,
    limit: int,
    exact: bool,
    min_score: float | None,
    filters: Filters,
    model: Path | None,
) -> tuple[list[Hit], bool]:
    """The photos, and whether there are none because all fit too badly."""
    from captioner.index.search import MIN_SCORE

    if not query:
        if exact:
            raise UsageError("--exact requires words.", "Say what the captions should contain.")
        return index.newest(limit=limit, filters=filters), False
    words, rank, model_id = " ".join(query), None, None
    least = MIN_SCORE if min_score is None else min_score
    if not exact:
        from captioner.model.query import load_rank

        model_id, rank = load_rank(model)
        knows = rank
        words, instead = index.respell(words, lambda word: knows(word) is not None)
        for asked, near_it in instead.items():
            console.note(
                f"Searched for {console.shown(near_it)} instead of {console.shown(asked)}."
            )

    def search(least: float, limit: int) -> list[Hit]:
        return index.search(
            words,
            rank=rank,
            model_id=model_id,
            limit=limit,
            exact=exact,
            filters=filters,
            min_score=least,
        )

    found = search(least, limit)
    return found, not found and least > 0 and bool(search(0, 1))


def _say_what_next(words: str, index: Index, filters: Filters, *, exact: bool) -> None:
    counts = index.counts()
    if not counts.described:
        remedy = "The index is empty: fill it with `captioner index FOLDER`."
    elif filters and not index.newest(limit=1, filters=filters):
        remedy = "No photo in the index matches the filters: try fewer, or wider ones."
    elif exact:
        remedy = "Without --exact, what the model saw counts as well."
    elif '"' in words:
        remedy = (
            "Words in quotes must be in the caption or in your own words: try without the quotes."
        )
    else:
        remedy = "The model knows none of these words: try others."
    console.note(f"Nothing found for: {console.shown(words)}" if words else "Nothing found.")
    if counts.missing:
        console.note(
            f"Left out: {console.counted(counts.missing)} with missing files. Connect the drive "
            "that they are on and run `captioner index`, or remove them with `captioner prune`."
        )
    console.note(remedy)
