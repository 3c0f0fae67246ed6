"""Trials of `captioner tune`: each is a `captioner train`, in this process or in workers."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from captioner.cli import console, interrupt, training
from captioner.errors import CaptionerError, UsageError
from captioner.training.experiment import StoppedEarly
from captioner.training.search_space import Space
from captioner.training.study import PART, Study

if TYPE_CHECKING:
    from optuna.trial import Trial

    from captioner.training.stages.writing import Result

MAX_FAILURES = 3
"""Trials that fail before any has finished: then it is not their values that are wrong."""
NOT_VARIED = frozenset(
    "out work force resume config quiet log-file data download download-corpus extra-data "
    "extra-style columns help".split()
)
"""Options of `captioner train` that cannot vary."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: it is passed to worker processes."""

    folder: Path
    space: Space
    base: Mapping[str, Any]
    trials: int
    """In all, with those of earlier sessions."""
    deadline: float | None
    """By `time.time()`: no trial is begun later."""
    seed: int
    prune_after: int
    quiet: bool
    log_file: Path | None

    def open(self) -> Study:
        """Open the study."""
        return Study.open(
            self.folder, self.space, self.base, seed=self.seed, prune_after=self.prune_after
        )


def train_command() -> Any:
    """`captioner train` as a command that can be called."""
    from captioner.cli.app import app

    group: Any = typer.main.get_command(app)
    return group.get_command(None, "train")


def check_options(space: Space, base: Mapping[str, Any]) -> dict[str, Any]:
    """Check that `captioner train` takes all values; return its own value of each varied option.

    Raises
    ------
    UsageError
        If an option is not known, or cannot vary, or does not take a value.
    """
    command = train_command()
    params = {
        name.removeprefix("--"): param
        for param in command.params
        for name in param.opts
        if name.startswith("--")
    }
    for name in (*base, *space):
        if name not in params:
            raise UsageError(
                f"{name} is no option of captioner train.", "See captioner train --help."
            )
    for name in space:
        if name in NOT_VARIED:
            raise UsageError(f"{name} cannot be varied.", "Set it with --set, or omit it.")
    for number in range(max([1, *(len(one.examples) for one in space.values())])):
        values = {name: one.examples[number % len(one.examples)] for name, one in space.items()}
        made = {params[name].name: value for name, value in {**base, **values}.items()}
        command.make_context("captioner train", [], default_map=made)
    ctx = command.make_context(
        "captioner train", [], default_map={params[name].name: one for name, one in base.items()}
    )
    return {name: ctx.params[params[name].name] for name in space}


class TrialProgress(training.TerminalProgress):
    """Shows the progress of a trial, and ends it if it is not worth going on with."""

    def __init__(self, study: Study, trial: Trial, *, alone: bool) -> None:
        self._study, self._trial, self._alone = study, trial, alone
        self._reported = 0

    def note(self, text: str) -> None:
        """Show one line that stays, with the number of the trial."""
        super().note(f"trial {self._trial.number}: {text}")

    @contextmanager
    def stage(
        self, name: str, total: int, *, done: int = 0, unit: str = "step"
    ) -> Iterator[Callable[[str], None]]:
        """Show a bar, unless several trials are running."""
        if self._alone:
            with super().stage(name, total, done=done, unit=unit) as advance:
                yield advance
        else:
            yield lambda doing: None

    def measured(self, part: str, metrics: Mapping[str, float]) -> None:
        """Report the epochs of the first decoder to the study, and prune a bad trial."""
        if part != PART:
            return
        # All so far: a trial that goes on after an interruption has some that are not reported.
        epochs = self._study.epochs(self._trial)
        for each in epochs[self._reported :]:
            self._trial.report(each["cider"], int(each["epoch"]))
        self._reported = len(epochs)
        if self._trial.should_prune():
            raise StoppedEarly(
                f"pruned after epoch {metrics['epoch']:g} with CIDEr {metrics['cider']:.1f}"
            )


def run_trials(plan: Plan, lock: Any, worker: int = 0, *, alone: bool = True) -> None:
    """Run trials until there are enough, or the time is up.

    Parameters
    ----------
    lock
        A context manager that lets one worker at a time ask for a trial.
    alone
        Whether no other worker runs trials.

    Raises
    ------
    CaptionerError
        If the first trials all fail.
    """
    study = plan.open()
    failures = 0
    while plan.deadline is None or time.time() < plan.deadline:
        with lock:
            trial = study.ask(plan.trials, worker)
        if trial is None:
            return
        try:
            _run(plan, study, trial, alone=alone)
            failures = 0
        except CaptionerError as error:
            study.fail(trial, str(error))
            failures += 1
            if failures >= MAX_FAILURES and study.best is None:
                raise
            console.warning(f"trial {trial.number} failed: {error.reason}")
        except BaseException:
            study.interrupt(trial)
            raise
        with lock:
            study.clear(trial)
            study.write_results()


def _run(plan: Plan, study: Study, trial: Trial, *, alone: bool) -> None:
    out, work, file = study.out(trial), study.work(trial), study.write_options(trial)
    words = ["--config", str(file), "--out", str(out)]
    if work.exists():
        words += ["--resume", "--force"]
    shown = ", ".join(f"{name} {_shown(value)}" for name, value in trial.params.items())
    console.note(f"trial {trial.number}: {shown}")
    found: list[Result] = []
    session = training.Session(
        TrialProgress(study, trial, alone=alone),
        shlex.join(["captioner", "train", *words]),
        lambda result, data: found.append(result),
    )
    quiet = ["--quiet"] if plan.quiet else []
    log = ["--log-file", str(plan.log_file)] if plan.log_file else []
    command = train_command()
    try:
        with command.make_context("captioner train", [*words, *quiet, *log], obj=session) as ctx:
            command.invoke(ctx)
    except StoppedEarly as stopped:
        study.prune(trial, str(stopped).removeprefix("pruned "))
        console.note(f"trial {trial.number}: {stopped}")
        return
    finally:
        _forget_networks()
    study.finish(trial, found[0].cider)
    console.note(f"trial {trial.number}: CIDEr {found[0].cider:.2f} on dev")


def _forget_networks() -> None:
    """Let go of what Keras keeps of the last trial."""
    import gc
    import sys

    if keras := sys.modules.get("keras"):
        keras.utils.clear_session()
    gc.collect()


def run_workers(plan: Plan, jobs: int) -> None:
    """Run trials in several processes, and replace one that dies.

    Raises
    ------
    CaptionerError
        If no worker could finish a trial.
    """
    context = multiprocessing.get_context("spawn")
    lock = context.Lock()
    numbers = iter(range(1, 10_000))
    deaths = 0

    def started() -> tuple[int, Any]:
        number = next(numbers)
        process = context.Process(target=_work, args=(plan, lock, number), name=f"tune-{number}")
        process.start()
        return number, process

    workers = [started() for _ in range(jobs)]
    try:
        while workers:
            number, process = workers.pop(0)
            process.join(0.5)
            if process.is_alive():
                workers.append((number, process))
            elif process.exitcode:
                deaths += 1
                study = plan.open()
                if study.revive(number):
                    console.warning("a trial's process died; its memory may not have sufficed.")
                if study.best is None and deaths >= MAX_FAILURES:
                    raise CaptionerError(
                        "no trial could be finished.",
                        "Run captioner train with these options to see why, or use fewer --jobs.",
                    )
                workers.append(started())
    finally:
        for _, process in workers:
            process.terminate()
        for _, process in workers:
            process.join()


def _work(plan: Plan, lock: Any, number: int) -> None:
    """Run trials in a worker process; it ends with the process that started it."""
    interrupt.install()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    console.prepare()
    console.configure_output(quiet=plan.quiet, log_file=plan.log_file)
    try:
        run_trials(plan, lock, number, alone=False)
    except CaptionerError as error:
        console.error(error.reason, error.remedy)
        raise SystemExit(1) from None
    except KeyboardInterrupt as error:
        raise SystemExit(interrupt.exit_code(error)) from None


def _end_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
