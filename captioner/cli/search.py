"""`captioner search`: photos from a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from captioner.index import Hit, Index


def search(
    query: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY...",
            help='Words, or a sentence; a "quoted phrase" must be in the caption.',
        ),
    ],
    *,
    limit: options.Limit = 10,
    exact: Annotated[
        bool, typer.Option("--exact", help="Look for the words in the captions alone.")
    ] = False,
    as_json: options.Json = False,
    database: options.Database = None,
    model: options.Model = None,
) -> None:
    """Find photos in the index from a few words.

    Photos are ranked by what the model saw in them, not by their captions alone. A line a photo,
    best first: path, caption and score, parted by tabs.

    \b
    Examples:
      captioner search dog running
      captioner search '"red ball"' --limit 50
      captioner search --json boats at night | jq -r .path
    """
    from captioner.index import Index
    from captioner.places import database_path

    words = " ".join(query)
    with Index.open(database or database_path()) as index:
        if exact:
            hits = index.search(words, limit=limit, exact=True)
        else:
            from captioner.model.query import load_rank

            model_id, rank = load_rank(model)
            hits = index.search(words, rank=rank, model_id=model_id, limit=limit)
        print_hits(hits, as_json=as_json)
        if not hits:
            _say_what_next(words, index, exact=exact)


def print_hits(hits: Sequence[Hit], *, as_json: bool) -> None:
    """Print photos that were found, best first."""
    for hit in hits:
        path, score = str(hit.path), round(float(hit.score), 4)
        if as_json:
            console.json_line({"path": path, "caption": hit.caption, "score": score})
        elif console.for_the_eye():
            console.block(path, [hit.caption], score=f"{score:.2f}")
        else:
            console.line(path, hit.caption, f"{score:.4f}")


def _say_what_next(words: str, index: Index, *, exact: bool) -> None:
    if not index.counts().described:
        remedy = "The index is empty: fill it with `captioner index FOLDER`."
    elif exact:
        remedy = "Without --exact, what the model saw counts as well."
    elif '"' in words:
        remedy = "Words in quotes must be in the caption: try without the quotes."
    else:
        remedy = "The model knows none of these words: try others."
    console.note(f"Nothing found for: {console.shown(words)}")
    console.note(remedy)
