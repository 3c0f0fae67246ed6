"""Options, data, progress and summary that `captioner train` and `captioner train-cider` share."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from captioner.cli import console
from captioner.cli.app import Command
from captioner.cli.progress import progress
from captioner.errors import UsageError
from captioner.training.config import RunConfig

if TYPE_CHECKING:
    from captioner.training.corpora import Corpus
    from captioner.training.outputs import Outputs
    from captioner.training.progress import Progress
    from captioner.training.stages.writing import Result

_DEFAULT = RunConfig()

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Photos with captions: Flickr8k, Flickr30k, COCO, Karpathy's JSON files, a saved "
        "Hugging Face data set, or a table (CSV, JSON Lines, Parquet). [default: CAPTIONER_DATA]",
    ),
]

ExtraData = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER[:WEIGHT]",
        help="More photos with captions to train on, in the same formats (repeatable). With "
        "FOLDER:2, each of these photos counts as two. Models are selected on the dev split of "
        "--data alone.",
    ),
]

ExtraStyle = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER[:WEIGHT]",
        help="Like --extra-data, for captions in a different style, which the decoders learn as "
        "a second style (repeatable).",
    ),
]

ExtraWeight = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="WEIGHT",
        help="Sample weight of photos from --extra-data and --extra-style without a WEIGHT; those "
        f"from --data have 1. [default: {_DEFAULT.extra_weight:g}]",
    ),
]


def _use_config(ctx: typer.Context, file: Path | None) -> Path | None:
    """Take the options in a file as defaults of the command line."""
    if file is not None:
        from captioner.training import settings

        params = {
            name.removeprefix("--"): param
            for param in ctx.command.params
            for name in param.opts
            if name.startswith("--")
        }
        found = settings.read(file)
        if unknown := sorted(found.keys() - params.keys()):
            raise UsageError(
                f"{file}: {unknown[0]} is no option of captioner {ctx.info_name}.",
                f"Options are named as on the command line: captioner {ctx.info_name} --help.",
            )
        ctx.default_map = {params[name].name or name: value for name, value in found.items()}
    return file


Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        is_eager=True,
        callback=_use_config,
        help="Take options from a TOML file, such as the config.toml of an earlier run or the best "
        "one of captioner tune; those on the command line go before it.",
    ),
]

Seed = Annotated[int, typer.Option(metavar="N", help="Random seed.")]

Resume = Annotated[
    bool, typer.Option("--resume", help="Continue from the last checkpoint of this run.")
]

Work = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder for checkpoints and learning curves. [default: NAME-training, next to the "
        "bundle]",
    ),
]

Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace an earlier bundle in --out and, without --resume, the checkpoints of an "
        "earlier run in --work. Other files are never replaced.",
    ),
]


class TrainingCommand(Command):
    """A command that also accepts the earlier names of its options."""

    earlier: ClassVar[Mapping[str, str]] = {
        "--wider": "--extra-data",
        "--aside": "--extra-style",
        "--wider-times": "--extra-weight",
    }

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse the command line, with earlier option names replaced by current ones."""
        return super().parse_args(ctx, [renamed(word, self.earlier) for word in args])


def renamed(word: str, names: Mapping[str, str]) -> str:
    """A word of the command line, `--option` or `--option=value`, with the option's new name."""
    name, equals, value = word.partition("=")
    return names.get(name, name) + equals + value


def specified(**options: object) -> dict[str, Any]:
    """The options that have a value, for a configuration whose defaults fill in the others."""
    return {name: value for name, value in options.items() if value is not None}


def require(needed: str, present: bool, **options: object) -> None:
    """Refuse options that have no effect without another one.

    Raises
    ------
    UsageError
        If one of `options` is set and the needed one is not.
    """
    for name, value in options.items():
        if value is not None and not present:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} requires {needed}.", f"Add {needed}, or omit {option}.")


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data sets of a run."""

    main: Corpus
    extra: tuple[Corpus, ...]
    extra_style: tuple[Corpus, ...]

    @property
    def all(self) -> tuple[Corpus, ...]:
        """All of them, the main one first."""
        return (self.main, *self.extra, *self.extra_style)


def weighted(place: Path) -> tuple[Path, float | None]:
    """A data set and its sample weight: `folder:2` has 2, unless there is a `folder:2`.

    Raises
    ------
    UsageError
        If the weight is 0.
    """
    folder, colon, number = str(place).rpartition(":")
    if not colon or os.path.lexists(place) or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", number):
        return place, None
    if not float(number) > 0:
        raise UsageError(f"the weight of {folder} is {number}.", "It should be above 0.")
    return Path(folder), float(number)


def read_data(
    data: Path | None,
    extra_data: list[Path] | None,
    extra_style: list[Path] | None,
    *,
    language: str | None = None,
    columns: list[str] | None = None,
) -> TrainingData:
    """Read all data sets, and warn about what is skipped.

    Extra data have the language of the main data, and none of their held-out photos.
    """
    from captioner.training.corpora import find_data, read_corpus, without_held_out
    from captioner.training.corpora.columns import parse

    main = read_corpus(
        find_data(data), language=language or "", columns=parse(columns) if columns else None
    )
    extra = [
        read_corpus(folder, language=main.language, weight=weight)
        for folder, weight in map(weighted, [*(extra_data or ()), *(extra_style or ())])
    ]
    extra = list(without_held_out(main, extra))
    of_style = len(extra_data or ())
    read = TrainingData(main, tuple(extra[:of_style]), tuple(extra[of_style:]))
    for warning in (warning for corpus in read.all for warning in corpus.warnings):
        console.warning(f"{warning}.")
    return read


def check_outputs(
    outputs: Outputs,
    inputs: Mapping[str, Path | None],
    extra_data: list[Path] | None,
    extra_style: list[Path] | None,
) -> None:
    """Check that everything can be written, and that no input is written to."""
    from captioner.app_paths import cache_folder

    extra = {
        f"{option} {folder}": folder
        for option, named in (("--extra-data", extra_data), ("--extra-style", extra_style))
        for folder, _ in map(weighted, named or ())
    }
    outputs.check({**inputs, **extra}, cache=cache_folder())


_OF_ONE_RUN = frozenset({"out", "work", "force", "resume", "quiet", "log_file", "config"})


def options_used(ctx: typer.Context) -> dict[str, Any]:
    """All options of this command that have a value, for the `config.toml` of a run.

    Those that say where one run is kept are left out.
    """
    return {
        param.opts[0]: _plain(value)
        for param in ctx.command.params
        if (value := ctx.params.get(param.name or "")) not in (None, [], ())
        and param.name not in _OF_ONE_RUN
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def load_backend() -> None:
    """Import Keras before anything else does, which would let TensorFlow print its messages."""
    import_module("captioner.model.backend")


def command_line() -> str:
    """The command as typed."""
    return shlex.join(["captioner", *sys.argv[1:]])


@dataclass(frozen=True, slots=True)
class Session:
    """Who watches a run: a person at a terminal, or `captioner tune`, by the command's context."""

    progress: Progress
    command: str
    """As it would be typed, for the record."""
    done: Callable[[Result, Path | None], None]
    """Takes the result, and the data if they were named."""

    @classmethod
    def of(cls, ctx: typer.Context) -> Session:
        """The session that the context was made with; the terminal's otherwise."""
        if isinstance(ctx.obj, cls):
            return ctx.obj
        return cls(TerminalProgress(), command_line(), summarise)


class TerminalProgress:
    """Shows the progress of a run on stderr; see `captioner.training.progress.Progress`."""

    def note(self, text: str) -> None:
        """Show one line that stays."""
        console.note(text)

    @contextmanager
    def stage(
        self, name: str, total: int, *, done: int = 0, unit: str = "step"
    ) -> Iterator[Callable[[str], None]]:
        """Show a bar with the time left, or occasional lines if stderr is not a terminal."""
        with progress(unit=unit) as bar:
            bar.planned(total, done=done)
            yield bar.done

    def measured(self, part: str, metrics: Mapping[str, float]) -> None:
        """Nothing: a note about the epoch was shown."""


def summarise(result: Result, data: Path | None) -> None:
    """Print the bundle's folder on stdout, and its metrics and the next steps on stderr."""
    folder = str(result.bundle.folder)
    shown, measured = shlex.quote(folder), f" --data {shlex.quote(str(data))}" if data else ""
    for line in (
        f"The bundle is in {folder}.",
        f"CIDEr on the dev split: {result.cider:.1f}.",
        "Its captions reach the confidence threshold for "
        f"{100 * result.captioned_share:.0f} % of the dev photos.",
        f"To caption photos with it: captioner caption --model {shown} photo.jpg",
        f"To measure it: captioner evaluate --model {shown}{measured}",
    ):
        console.note(line)
    console.line(folder)
