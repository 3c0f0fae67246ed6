"""Options that several commands share, so that they are named and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object per line; see docs/json.md.")
]

_NULL = (
    "Paths end with NUL instead of a line break: those read from standard input, and those printed "
    "alone."
)
Null = Annotated[bool, typer.Option("-0", "--null", help=_NULL)]

PrintNull = Annotated[bool, typer.Option("-0", "--null", "--print0", help=_NULL)]
"""Of commands that find photos: it prints nothing but their paths. `--print0` is an older name."""

Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="Leave out what is below a folder and matches, as in .gitignore; may be repeated.",
    ),
]

Hidden = Annotated[
    bool,
    typer.Option(
        "--include-hidden",
        help="Look into hidden files and folders too, and into those with a .nomedia file.",
    ),
]

Model = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Use this bundle, in place of CAPTIONER_MODEL and of the one that ships.",
    ),
]

Device = Annotated[
    Literal["auto", "cpu", "gpu", "keras"],
    typer.Option(
        metavar="NAME",
        help="Where to compute: auto (a GPU if there is one), cpu, gpu, or keras (on either).",
    ),
]

Precision = Annotated[
    Literal["int8", "bfloat16", "float32"],
    typer.Option(
        metavar="TYPE", help="Numbers the CPU computes with: int8 (fastest), bfloat16 or float32."
    ),
]

Beams = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        metavar="N",
        help="Sentences kept while searching for the best; more are slower.",
    ),
]

MinConfidence = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="P",
        help="Do not use the model's sentences whose confidence is below P, 0 to 1: keywords take "
        "their place where there is room. [default: the model's own threshold]",
    ),
]

Keywords = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=50,
        metavar="N",
        help="Print or write up to N of the model's keywords for each photo.",
    ),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Photos to compute at once, in place of the engine's own choice."
    ),
]

Database = Annotated[
    Path | None,
    typer.Option(
        "--db", metavar="FILE", help="Use this database, in place of CAPTIONER_DB and of yours."
    ),
]

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Photos to print.")]

MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        min=0,
        max=1,
        metavar="P",
        help="Only photos with at least this score, 0 to 1; 0 shows those that fit badly, too.",
    ),
]

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Show no progress, notes or summaries: only warnings and errors."
    ),
]

LogFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Add notes, warnings and errors to this file, with the time, even with --quiet.",
    ),
]

Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--in",
        metavar="DIR",
        help="Only photos in this folder or below; may be repeated: in any of them.",
    ),
]

After = Annotated[
    str | None,
    typer.Option(
        metavar="DATE", help="Only photos taken from this year, month or day on: 2024-05-06."
    ),
]

Before = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Only photos taken before this year, month or day began."),
]

Camera = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only photos whose camera's name holds these words."),
]

Near = Annotated[
    str | None,
    typer.Option(
        metavar="LAT,LON,KM", help="Only photos taken within so many kilometres of a place."
    ),
]

Keyword = Annotated[
    list[str] | None,
    typer.Option(
        "--keyword",
        metavar="WORD",
        help="Only photos with this keyword, the model's or yours; may be repeated: with all.",
    ),
]

Open = Annotated[
    bool, typer.Option("--open", help="Open the best of them, 5 at most, in the system's viewer.")
]

Preview = Annotated[
    bool, typer.Option("--preview", help="Show the photos as pictures in the terminal.")
]

PrintPath = Annotated[
    bool, typer.Option("--print-path", help="Print nothing but paths, one per line.")
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")]
