"""`captioner search`: photos from a few words, and from what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, hits, options

if TYPE_CHECKING:
    from captioner.index import Filters, Index


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY...]",
            help='Words, or a sentence; a "quoted phrase" must be in the caption.',
        ),
    ] = None,
    *,
    limit: options.Limit = 10,
    exact: Annotated[
        bool, typer.Option("--exact", help="Look for the words in the captions alone.")
    ] = False,
    folders: options.Folders = None,
    after: options.After = None,
    before: options.Before = None,
    camera: options.Camera = None,
    near: options.Near = None,
    keywords: options.Keywords = None,
    as_json: options.Json = False,
    print_path: options.PrintPath = False,
    print0: options.Print0 = False,
    preview: options.Preview = False,
    open_them: options.Open = False,
    database: options.Database = None,
    model: options.Model = None,
) -> None:
    """Find photos in the index from a few words, or from where, when and how they were taken.

    Photos are ranked by what the model saw in them, not by their captions alone; without words,
    the newest come first. A line a photo, best first: path, caption and score, parted by tabs.
    Photos whose files are missing are left out.

    \b
    Examples:
      captioner search dog running
      captioner search '"red ball"' --limit 50
      captioner search beach --after 2024-05 --near 43.3,5.4,50
      captioner search -0 boats at night | xargs -0 cp -t boats
    """
    from captioner.index import Filters, Index
    from captioner.places import database_path

    words = " ".join(query or [])
    form = hits.form(as_json=as_json, print_path=print_path, nul=print0, preview=preview)
    filters = Filters.parse(folders, after, before, camera, near, keywords)
    with Index.open(database or database_path()) as index:
        if not query and filters:
            found = index.newest(limit=limit, filters=filters)
        elif exact:
            found = index.search(words, limit=limit, exact=True, filters=filters)
        else:
            from captioner.model.query import load_rank

            model_id, rank = load_rank(model)
            words, instead = index.respell(words, lambda word: rank(word) is not None)
            for asked, near_it in instead.items():
                console.note(f"Searched for {near_it} instead of {console.shown(asked)}.")
            found = index.search(words, rank=rank, model_id=model_id, limit=limit, filters=filters)
        hits.print_hits(found, form, preview=preview)
        if not found:
            _say_what_next(words, index, filters, exact=exact)
    if open_them:
        hits.open_hits(found)


def _say_what_next(words: str, index: Index, filters: Filters, *, exact: bool) -> None:
    counts = index.counts()
    if not counts.described:
        remedy = "The index is empty: fill it with `captioner index FOLDER`."
    elif filters and not index.newest(limit=1, filters=filters):
        remedy = "No photo in the index fulfils the filters: try fewer, or wider ones."
    elif exact:
        remedy = "Without --exact, what the model saw counts as well."
    elif '"' in words:
        remedy = "Words in quotes must be in the caption: try without the quotes."
    else:
        remedy = "The model knows none of these words: try others."
    console.note(f"Nothing found for: {console.shown(words)}" if words else "Nothing found.")
    if counts.missing:
        console.note(
            f"{console.counted(counts.missing)} left out, missing from where they were: "
            "connect their drive, and run `captioner index` on it."
        )
    console.note(remedy)
