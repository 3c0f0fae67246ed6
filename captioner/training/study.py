"""A search for the best options of `captioner train`, as a folder: an Optuna study and its trials.

The folder holds `study.db` (Optuna's storage in SQLite), `trials/NNNN.toml` with the options of
each trial, `trials/NNNN-training/`, which is its run, `best.toml` for `captioner train --config`,
and `report.html`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captioner.errors import CaptionerError, UsageError
from captioner.model import destination
from captioner.training import curve_files, settings
from captioner.training.search_space import Space

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

DATABASE, BEST, REPORT, TRIALS = "study.db", "best.toml", "report.html", "trials"
PART = "decoder-1"
"""The part whose CIDEr after each epoch decides whether a trial is pruned."""
_NAME = "captioner"
_BASE, _SPACE = "options", "vary"
"""Attributes of the study: what is the same in all trials, and what varies."""
_RUN, INTERRUPTED, _WORKER, REASON = "run", "interrupted", "worker", "reason"
"""Attributes of a trial: the number that its files have; whether it was interrupted, and so runs
again as another trial; the worker that runs it; why it failed or was pruned."""
_CHECKPOINTS = ("last.safetensors", "best.safetensors")


@dataclass(frozen=True, slots=True)
class Study:
    """An open study."""

    folder: Path
    optuna: OptunaStudy
    storage: BaseStorage
    space: Space
    base: Mapping[str, Any]
    """Options of `captioner train` that are the same in all trials."""

    @classmethod
    def open(
        cls,
        folder: Path,
        space: Space,
        base: Mapping[str, Any],
        *,
        seed: int = 0,
        prune_after: int = 4,
    ) -> Study:
        """Open the study in a folder, or create it.

        Parameters
        ----------
        seed
            Of the sampler. A study that is resumed goes on with other random numbers.
        prune_after
            Trials before any is pruned.

        Raises
        ------
        CaptionerError
            If it cannot be opened, or was begun with other options.
        """
        optuna = import_optuna()
        from sqlalchemy.exc import SQLAlchemyError

        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TRIALS).mkdir(exist_ok=True)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{(folder / DATABASE).absolute()}",
                engine_kwargs={"connect_args": {"timeout": 60}},
            )
            study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
                # The first epoch tells little: a short schedule begins faster than a long one.
                pruner=optuna.pruners.MedianPruner(n_startup_trials=prune_after, n_warmup_steps=2),
            )
        except (OSError, SQLAlchemyError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise CaptionerError(
                f"the study in {folder} cannot be opened: {reason}.",
                "Name another folder with --out.",
            ) from error
        study.sampler = optuna.samplers.TPESampler(seed=seed + 1000 * len(study.trials))
        now = {_BASE: dict(base), _SPACE: {name: str(one) for name, one in space.items()}}
        for name, value in now.items():
            before = study.user_attrs.get(name)
            if before is None:
                study.set_user_attr(name, value)
            elif before != value:
                raise CaptionerError(
                    f"the study in {folder} was begun with other {name}: {_spelled(before)}, "
                    f"and not {_spelled(value)}.",
                    "Resume it with the same options, or name another folder with --out.",
                )
        return cls(folder, study, storage, space, base)

    def revive(self, worker: int | None = None) -> int:
        """Fail the trials whose process has ended; what was killed is run again.

        Parameters
        ----------
        worker
            Only those of a worker that has died, which are not run again: they may be what killed
            it. None: all, after the whole command was killed.

        Returns
        -------
        How many there were.
        """
        from optuna.trial import TrialState

        dead = [
            trial
            for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
            if worker is None or trial.user_attrs.get(_WORKER) == worker
        ]
        for trial in dead:
            if worker is None:
                self.interrupt(trial)
            else:
                self.fail(trial, "its process died")
        return len(dead)

    def interrupt(self, trial: FrozenTrial | Trial) -> None:
        """Fail a trial that was interrupted, and put it first in line to go on."""
        from optuna.trial import TrialState

        with suppress(ValueError):  # another process was quicker
            self._note(trial, INTERRUPTED, True)
            self.optuna.tell(trial.number, state=TrialState.FAIL)
            self.optuna.enqueue_trial(trial.params, user_attrs={_RUN: run_number(trial)})

    def fail(self, trial: FrozenTrial | Trial, reason: str) -> None:
        """Fail a trial for good."""
        from optuna.trial import TrialState

        with suppress(ValueError):
            self._note(trial, REASON, reason)
            self.optuna.tell(trial.number, state=TrialState.FAIL)

    def prune(self, trial: Trial, reason: str) -> None:
        """Note that a trial was not worth going on with, and why: "after epoch 2: CIDEr 12.3"."""
        from optuna.trial import TrialState

        self._note(trial, REASON, reason)
        self.optuna.tell(trial, state=TrialState.PRUNED)

    def finish(self, trial: Trial, cider: float) -> None:
        """Note the CIDEr × 100 of a trial's bundle on dev."""
        self.optuna.tell(trial, cider)

    def ask(self, limit: int, worker: int) -> Trial | None:
        """The next trial to run; None if there are as many as asked for.

        Trials that were interrupted do not count, since they are run again.
        """
        from optuna.trial import TrialState

        trials = self.optuna.get_trials(deepcopy=False)
        begun = [
            trial
            for trial in trials
            if trial.state != TrialState.WAITING and not trial.user_attrs.get(INTERRUPTED)
        ]
        if len(begun) >= limit:
            return None
        spread = {name: one.distribution() for name, one in self.space.items()}
        trial = self.optuna.ask(fixed_distributions=spread)
        self._note(trial, _WORKER, worker)
        if _RUN not in trial.user_attrs:
            self._note(trial, _RUN, trial.number)
        return trial

    def begin_with(self, params: Mapping[str, Any]) -> None:
        """Make a new study begin with these values, where they are in the space."""
        if not self.optuna.trials:
            first = {n: v for n, v in params.items() if n in self.space and self.space[n].has(v)}
            if first:
                self.optuna.enqueue_trial(first)

    @property
    def best(self) -> FrozenTrial | None:
        """The finished trial with the highest CIDEr; None if none is finished."""
        from optuna.trial import TrialState

        done = self.optuna.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        return max(done, key=lambda trial: trial.value or 0.0, default=None)

    def out(self, trial: FrozenTrial | Trial) -> Path:
        """The folder of a trial's bundle; its run is next to it."""
        return self.folder / TRIALS / f"{run_number(trial):04}"

    def work(self, trial: FrozenTrial | Trial) -> Path:
        """The folder of a trial's run."""
        out = self.out(trial)
        return out.with_name(f"{out.name}-training")

    def write_options(self, trial: Trial) -> Path:
        """Write a trial's options as a file that `captioner train --config` takes."""
        file = self.out(trial).with_suffix(".toml")
        file.write_text(settings.written({**self.base, **trial.params}), "utf-8")
        return file

    def epochs(self, trial: FrozenTrial | Trial) -> list[dict[str, float]]:
        """The epochs of a trial's first decoder so far."""
        return curve_files.read(self.work(trial)).get(PART, [])

    def write_results(self) -> None:
        """Write `best.toml` and `report.html`, as far as there are results."""
        from captioner.training.study_report import page

        if best := self.best:
            comment = (
                f"The best of {len(self.optuna.trials)} trials: number {best.number}, CIDEr "
                f"{best.value:.2f} on dev.\nTo train with it: captioner train --config {BEST} "
                "--out FOLDER"
            )
            _write(self.folder / BEST, settings.written({**self.base, **best.params}, comment))
        _write(self.folder / REPORT, page(self))

    def clear(self, trial: Trial) -> None:
        """Remove the checkpoints of a trial that has ended, and all bundles but the best one."""
        for name in _CHECKPOINTS:
            for file in self.work(trial).glob(f"*/{name}"):
                file.unlink(missing_ok=True)
        best = self.best
        for other in self.optuna.get_trials(deepcopy=False):
            out = self.out(other)
            done = other.state.is_finished() and not other.user_attrs.get(INTERRUPTED)
            if done and best and other.number != best.number and destination.other_files(out) == []:
                shutil.rmtree(out, ignore_errors=True)

    def _note(self, trial: FrozenTrial | Trial, name: str, value: Any) -> None:
        study = self.storage.get_study_id_from_name(_NAME)
        number = self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        self.storage.set_trial_user_attr(number, name, value)


def run_number(trial: FrozenTrial | Trial) -> int:
    """The number in the names of a trial's files: that of the trial that it goes on with."""
    return int(trial.user_attrs.get(_RUN, trial.number))


def exists(folder: Path) -> bool:
    """Whether there is a study in a folder."""
    return (folder / DATABASE).is_file()


def check(folder: Path, *, resume: bool) -> None:
    """Check that a folder can hold a study.

    Raises
    ------
    UsageError
        If it holds other files, or a study that is not resumed.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is not a folder.", "Name another with --out.")
        if exists(folder):
            if not resume:
                raise UsageError(
                    f"{folder} contains a study already.",
                    "Go on with it with --resume, or name another folder with --out.",
                )
        elif folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty.", "Name a new folder with --out.")
        destination.check_writable(destination.nearest(folder))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be used: {error.strerror or error}.", "Name another with --out."
        ) from None


def import_optuna() -> Any:
    """Optuna, silenced.

    Raises
    ------
    CaptionerError
        If it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise CaptionerError(
            "captioner tune needs optuna, which is not installed.",
            "Run pip install 'captioner[tune]'.",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(text, "utf-8")
    partial.replace(file)


def _spelled(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "none"
