"""`captioner tune`: a search for the options with which `captioner train` makes the best model."""

from __future__ import annotations

import shlex
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from captioner.cli import console
from captioner.cli import options as shared
from captioner.errors import CaptionerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from captioner.cli.trials import Plan
    from captioner.training.study import Study


def tune(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Keep the study and its trials in this folder.")
    ] = Path("captioner-study"),
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Photos with captions, in the formats of captioner train. "
            "[default: CAPTIONER_DATA]",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="Option of captioner train to vary, without its hyphens: rate=1e-4..1e-2:log, "
            "epochs=2..8 or preset=base,classic (repeatable).",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Option of captioner train that is the same in all trials: epochs=4 (repeatable).",
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file with options that are the same in all trials, and a table [vary] of "
            "those to vary; options on the command line go before it.",
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Trials in all, with those of earlier sessions."),
    ] = 20,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="N", help="Begin no trial after N minutes."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Trials to run at a time.")
    ] = 1,
    prune_after: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Trials before any is pruned: one that after an epoch has a lower CIDEr than the "
            "median of the others.",
        ),
    ] = 4,
    sampler_seed: Annotated[
        int, typer.Option(metavar="N", help="Random seed of the values that are tried.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study in --out.")
    ] = False,
    quiet: shared.Quiet = False,
    log_file: shared.LogFile = None,
) -> None:
    """Search for the options with which captioner train makes the best model.

    Each trial is a run of captioner train, in --out. The first one has the usual values; later ones
    have values that look promising (Optuna, tree-structured Parzen estimator), and bad ones are
    stopped early. Trials are compared by the CIDEr of their bundles on dev. The best options are in
    best.toml, for captioner train --config, and report.html shows the history, and which options
    matter. A study that was stopped or killed goes on with --resume.

    \b
    Examples:
      captioner tune --data flickr8k --vary rate=1e-4..1e-2:log --vary epochs=2..8
      captioner tune --data flickr8k --space space.toml --trials 50 --jobs 2 --resume
    """
    from captioner.training import search_space, study
    from captioner.training import settings as files
    from captioner.training.corpora import find_data

    console.configure_output(quiet=quiet, log_file=log_file)
    base: dict[str, Any] = files.read(space) if space else {}
    varied = search_space.read(base.pop("vary", {}), space) if space else {}
    base |= _fixed(settings or [])
    varied |= search_space.parse(vary or [])
    if not varied:
        raise UsageError(
            "there is nothing to vary.", f"Name options with --vary. {search_space.FORM}"
        )
    named = data or (Path(str(base["data"])) if "data" in base else None)
    base["data"] = str(find_data(named).absolute())
    base = {name: value for name, value in base.items() if name not in varied}
    study.import_optuna()
    from captioner.cli import trials as run

    usual = run.check_options(varied, base)
    study.check(out, resume=resume)
    plan = run.Plan(
        folder=out,
        space=varied,
        base=base,
        trials=trials,
        deadline=None if minutes is None else time.time() + 60 * minutes,
        seed=sampler_seed,
        prune_after=prune_after,
        quiet=quiet,
        log_file=log_file,
    )
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        _search(plan, usual, jobs)


def _search(plan: Plan, usual: dict[str, Any], jobs: int) -> None:
    from captioner.cli import trials as run

    study = plan.open()
    if revived := study.revive():
        console.note(f"{console.counted(revived, 'trial')} that was interrupted runs again.")
    study.begin_with(usual)
    try:
        if jobs == 1:
            run.run_trials(plan, nullcontext())
        else:
            run.run_workers(plan, jobs)
    finally:
        study.write_results()
    _summarise(study)


def _summarise(study: Study) -> None:
    from captioner.training.study import BEST, REPORT

    best, folder = study.best, study.folder
    console.note(f"The report is {console.shown(str(folder / REPORT))}.")
    if best is None:
        console.note("No trial has finished yet: go on with --resume.")
        return
    values = ", ".join(f"{name} {value}" for name, value in best.params.items())
    console.note(f"The best CIDEr on dev is {best.value:.2f}, of trial {best.number}: {values}.")
    file = shlex.quote(str(folder / BEST))
    console.note(f"To train with it: captioner train --config {file} --out captioner-model")
    console.line(str(folder / BEST))


def _fixed(words: list[str]) -> dict[str, Any]:
    from captioner.training.search_space import typed

    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name.strip() or not equals:
            raise UsageError(f'--set: "{word}" sets no option.', "Write NAME=VALUE: epochs=4.")
        found[name.strip().removeprefix("--")] = typed(value.strip())
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the study's folder against other processes."""
    from captioner.system.locks import FolderLock

    lock = FolderLock(folder)
    try:
        try:
            free = lock.lock()
        except OSError:  # a network drive without locks
            free = True
        if not free:
            raise CaptionerError(
                f"another process is tuning in {folder}.",
                "Wait until it is done, or let one command run several trials with --jobs.",
            )
        yield
    finally:
        lock.close()
