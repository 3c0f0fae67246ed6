"""`captioner similar`: finds photos that look like a given one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from captioner.cli import console, hits, loading, options
from captioner.errors import UsageError


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
    database: options.Databases = None,
    model: options.Model = None,
    device: options.Device = "auto",
    precision: options.Precision = "int8",
) -> None:
    """Find photos in the index that look like PHOTO.

    A photo that is in the index is not opened again; the photo itself and its copies are excluded.
    One line per photo, most similar first: path, caption and score, separated by tabs. -0 prints
    only the paths.

    \b
    Examples:
      captioner similar beach.jpg --limit 3
      captioner similar beach.jpg --before 2020 --open
    """
    from captioner.errors import PhotoError
    from captioner.index import Filters
    from captioner.library import Library
    from captioner.model.options import DescribeOptions
    from captioner.search import Advice

    console.configure_output(quiet=quiet, log_file=log_file)
    form = hits.form(as_json=as_json, print_path=print_path, nul=nul, preview=preview)
    filters = Filters.parse(folders, after, before, camera, near, keyword)
    if Path(photo).is_dir():
        raise UsageError(f"{console.shown(photo)} is a folder.", "Name one photo.")
    describe_options = DescribeOptions(model, device, precision, photos=1)
    load = partial(loading.load, describe_options)
    with Library.open(database, options=describe_options, load=load) as library:
        try:
            results = library.similar(photo, limit=limit, filters=filters, min_score=min_score)
        except PhotoError as error:
            hits.exit_unreadable(photo, error, as_json=as_json)
        hits.print_hits(results.hits, form, preview=preview)
    if results.advice is Advice.MIN_SCORE:
        console.note("No photo is that similar: try a lower --min-score.")
    elif results.advice:
        console.note("Nothing found: no photo described by this model matches the filters.")
    if open_them:
        hits.open_hits(results.hits)
