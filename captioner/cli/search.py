"""`captioner search`: finds photos by words, folder, date, camera, place and keyword."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, hits, loading, options
from captioner.cli.exclusions import SearchCommand
from captioner.errors import UsageError

if TYPE_CHECKING:
    from captioner.search import SearchResults

COMMAND = SearchCommand


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY...]",
            help='Words or a sentence. A "quoted phrase" must be in the caption or in your own '
            "words; -word excludes photos with that word. Without words: the newest photos.",
        ),
    ] = None,
    *,
    limit: options.Limit = 10,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Search only captions and your own words, without the model."),
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="PHOTO",
            help="Find photos that also look like this one, in the index or not.",
        ),
    ] = None,
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
    database: options.Databases = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Find photos in the index by words, or by where, when and how they were taken.

    Photos with your own words come first: captions, titles and keywords in files and sidecars,
    edited captions, file and folder names. Then come photos that match according to the model.
    One line per photo, best first: path, caption and score, separated by tabs. The score is how
    likely the photo is to match, 0 to 1; photos that score below 0.03 are omitted unless
    --min-score says otherwise. Copies of a photo and missing photos are omitted, too. -0 prints
    only the paths.

    \b
    Examples:
      captioner search dog running
      captioner search beach -people
      captioner search '"red ball"' --limit 50
      captioner search beach --after 2024-05 --near 43.3,5.4,50
      captioner search snow --like house.jpg
      captioner search -0 boats at night | xargs -0 cp -t boats
    """
    from captioner.errors import PhotoError
    from captioner.index import Filters
    from captioner.library import Library
    from captioner.model.options import DescribeOptions

    console.configure_output(quiet=quiet, log_file=log_file)
    if exact and not query:
        raise UsageError("--exact requires words.", "Add words that the captions should contain.")
    form = hits.form(as_json=as_json, print_path=print_path, nul=nul, preview=preview)
    filters = Filters.parse(folders, after, before, camera, near, keyword)
    if like and not query:
        raise UsageError("--like requires words.", "Add words, or use `captioner similar`.")
    describe_options = DescribeOptions(model, device, precision, photos=1)
    load = partial(loading.load, describe_options)
    with Library.open(database, options=describe_options, load=load) as library:
        words = " ".join(query) if query else None
        try:
            results = library.search(
                words, limit=limit, exact=exact, filters=filters, min_score=min_score, like=like
            )
        except PhotoError as error:
            hits.exit_unreadable(like or "", error, as_json=as_json)
        for word, similar in results.respelled.items():
            console.note(f"Searched for {console.shown(similar)} instead of {console.shown(word)}.")
        hits.print_hits(results.hits, form, preview=preview)
    if results.advice:
        _print_advice(" ".join(query or []), results)
    if open_them:
        hits.open_hits(results.hits)


def _print_advice(query: str, results: SearchResults) -> None:
    """Say that nothing was found, and what to try next."""
    from captioner.search import Advice

    if results.advice is Advice.MIN_SCORE:
        console.note("No good match. Use --min-score 0 to see the closest photos.")
        return
    console.note(f"Nothing found for: {console.shown(query)}" if query else "Nothing found.")
    if results.missing:
        console.note(
            f"Omitted: {console.counted(results.missing)} with missing files. Connect their "
            "drive and run `captioner index`, or remove them with `captioner prune`."
        )
    remedies = {
        Advice.EMPTY_INDEX: "The index is empty: fill it with `captioner index FOLDER`.",
        Advice.FILTERS: "No photo in the index matches the filters: try fewer or broader ones.",
        Advice.EXACT: "Try without --exact, to include what the model recognises.",
        Advice.QUOTES: "Words in quotes must be in the caption or in your own words: try without "
        "the quotes.",
        Advice.UNKNOWN_WORDS: "The model knows none of these words: try others.",
    }
    if results.advice:
        console.note(remedies[results.advice])
