"""Command-line options that several commands share, each with one name and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Objects = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Objects that annotators have marked in photos, as JSON "
        '({"photo.jpg": ["dog", "person"]}).',
    ),
]

Language = Annotated[
    str | None,
    typer.Option(
        metavar="TAG",
        help="Language of the captions to use, if the data have several: a tag such as en or de.",
    ),
]

Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME",
        help="Columns of a table in --data that are not found by their names: "
        "photo=NAME,caption=NAME, likewise language, split and image (repeatable).",
    ),
]

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object per line; see docs/json.md.")
]

Null = Annotated[
    bool,
    typer.Option(
        "-0", "--null", help="Paths on standard input end with NUL instead of a line break."
    ),
]

PrintNull = Annotated[
    bool,
    typer.Option(
        "-0", "--null", "--print0", help="Print only paths, each followed by NUL, for `xargs -0`."
    ),
]
"""For commands that find photos. `--print0` is an older name."""

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="Skip files and folders that match GLOB, as in .gitignore (repeatable).",
    ),
]

Hidden = Annotated[
    bool,
    typer.Option(
        "--include-hidden",
        help="Include hidden files and folders, and folders with a .nomedia file.",
    ),
]

Model = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Use this model bundle instead of CAPTIONER_MODEL or the default.",
    ),
]

Models = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        metavar="FOLDER",
        help="Use this model bundle instead of CAPTIONER_MODEL or the default (repeatable: a "
        "caption by each).",
    ),
]

Device = Annotated[
    Literal["auto", "cpu", "gpu", "keras"],
    typer.Option(
        metavar="NAME",
        help="Run the model on: auto (a GPU if there is one), cpu, gpu, or keras (Keras on CPU or "
        "GPU).",
    ),
]

Precision = Annotated[
    Literal["int8", "bfloat16", "float32"],
    typer.Option(metavar="TYPE", help="CPU arithmetic: int8 (fastest), bfloat16 or float32."),
]

Beams = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        metavar="N",
        help="Beam width; a wider beam is slower.",
        show_default="the model's own",
    ),
]

NoRerank = Annotated[
    bool,
    typer.Option(
        "--no-rerank",
        help="Measure beam search alone, as papers do: the decoder's most probable sentence, "
        "without the model's other evidence and without length normalisation.",
    ),
]

MinConfidence = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="P",
        help="Do not use model captions with a confidence below P, 0 to 1; use keywords instead "
        "where possible.",
        show_default="the model's own",
    ),
]

Keywords = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=50,
        metavar="N",
        help="Print or write up to N of the model's keywords per photo.",
    ),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Batch size: how many photos the model processes at once.",
        show_default="the engine's own",
    ),
]

Executor = Annotated[
    Literal["auto", "threads", "processes", "ray"],
    typer.Option(
        metavar="NAME",
        help="Describe photos in: threads; processes, one per core; auto, which of these suits "
        "this machine; or ray, on the machines of a Ray cluster (needs captioner[ray]).",
    ),
]

Staging = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="With --executor ray: keep finished parts in this folder or bucket, which all "
        "machines can reach, until they are stored.",
        show_default="next to the database",
    ),
]

Database = Annotated[
    Path | None,
    typer.Option(
        "--db", metavar="FILE", help="Use this database instead of CAPTIONER_DB or the default."
    ),
]

Databases = Annotated[
    list[Path] | None,
    typer.Option(
        "--db",
        metavar="FILE",
        help="Search this database instead of CAPTIONER_DB or the default (repeatable: all of them "
        "as one).",
    ),
]

Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, metavar="N", help="Print at most N photos.")
]

MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        min=0,
        max=1,
        metavar="P",
        help="Only photos with a score of at least P, 0 to 1; 0 includes poor matches.",
    ),
]

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print only warnings and errors: no progress, notes or summaries."
    ),
]

LogFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Append notes, warnings and errors to this file, with the time, even with --quiet.",
    ),
]

Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--in",
        metavar="FOLDER",
        help="Only photos in or below this folder (repeatable: in any of them).",
    ),
]

After = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="Only photos taken on or after DATE: a year, month or day, such as 2024-05-06.",
    ),
]

Before = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Only photos taken before DATE: a year, month or day."),
]

Camera = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only photos whose camera name contains these words."),
]

Near = Annotated[
    str | None,
    typer.Option(
        metavar="LAT,LON,KM", help="Only photos taken within KM km of this latitude and longitude."
    ),
]

Keyword = Annotated[
    list[str] | None,
    typer.Option(
        "--keyword",
        metavar="WORD",
        help="Only photos with this keyword, the model's or yours (repeatable: with all of them).",
    ),
]

Open = Annotated[
    bool, typer.Option("--open", help="Open the best matches, at most 5, in the system's viewer.")
]

Preview = Annotated[
    bool, typer.Option("--preview", help="Show the photos themselves in the terminal.")
]

PrintPath = Annotated[bool, typer.Option("--print-path", help="Print only paths, one per line.")]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done without doing it.")
]
