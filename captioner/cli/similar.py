"""`captioner similar`: photos that look like a photo."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from captioner.cli import console, hits, loading, options
from captioner.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from captioner.types import Describer, Description, Failure, Photo


def similar(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A photo, in the index or not.")],
    *,
    limit: options.Limit = 10,
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
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Find photos in the index that look like a photo.

    A photo that is in the index is not opened again, and neither it nor a copy of it is found. One
    line per photo, most similar first: path, caption and score, separated by tabs. -0 prints the
    paths alone.

    \b
    Examples:
      captioner similar beach.jpg --limit 3
      captioner similar beach.jpg --before 2020 --open
    """
    from captioner.index import Filters, Index
    from captioner.model.query import load_rank
    from captioner.photos.walk import walk
    from captioner.places import database_path
    from captioner.types import Failure

    console.configure_output(quiet=quiet, log_file=log_file)
    form = hits.form(as_json=as_json, print_path=print_path, nul=nul, preview=preview)
    filters = Filters.parse(folders, after, before, camera, near, keyword)
    path = Path(photo)
    if path.is_dir():
        raise UsageError(f"{console.shown(photo)} is a folder.", "Name one photo.")
    model_id, _ = load_rank(model)
    [found] = walk([path])
    with Index.open(database or database_path()) as index:
        known = isinstance(found, Failure) or not any(index.pending([found]))
        vectors = index.vectors_of(path, model_id) if known else None
        content_hash: bytes | None = None
        if vectors is None:
            result = _look(found, partial(loading.load, model, device=device, precision=precision))
            if isinstance(result, Failure):
                console.cannot_read(photo, result.reason)
                if as_json:
                    console.json_line({"path": photo, "error": result.reason})
                raise typer.Exit(1)
            vectors, content_hash = result.vectors, result.content_hash
        likely = index.similar(
            vectors.embedding,
            model_id,
            limit=limit,
            but_not=path,
            content_hash=content_hash,
            filters=filters,
        )
        near_enough = [hit for hit in likely if (hit.score or 0) >= (min_score or 0)]
    hits.print_hits(near_enough, form, preview=preview)
    if likely and not near_enough:
        console.note("No photo is that similar: try a lower --min-score.")
    elif not likely:
        console.note("Nothing found: no photo described by this model matches the filters.")
    if open_them:
        hits.open_hits(near_enough)


def _look(found: Photo | Failure, load: Callable[[], Describer]) -> Description | Failure:
    from captioner.pipeline import describe
    from captioner.types import Failure

    if isinstance(found, Failure):
        return found
    [result] = describe([found], load())
    return result
