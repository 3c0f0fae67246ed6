"""The training loop for every part of the model: steps, checkpoints, early stopping, resuming.

A batch is a function of (epoch, step) alone, and a checkpoint holds every variable of the model and
its optimizer, including the state of dropout's random generators. So a resumed run is bit for bit
the run that was never stopped.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from captioner.errors import CaptionerError
from captioner.model.backend import keras, runtime
from captioner.training import curves
from captioner.training.curve_files import CurveFiles
from captioner.training.progress import Advance, Progress

Batch = tuple[Any, Any]
Metrics = dict[str, float]
CHECKPOINT_SECONDS = 600.0
"""At most this much work is lost when a process is killed."""
BATCHES_AHEAD = 2
"""Batches that are prepared during a step: while one waits for its last photos, the cores are free
for the next."""
_SHOWN = ("loss", "cider", "words", "reward", "likelihood", "both_r10", "extra_both_r10")
"""Figures shown after each epoch; the curves show all of them."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Epochs, and the learning rate of every step: linear warm-up, then cosine decay to zero."""

    epochs: int
    steps: int
    """Per epoch."""
    learning_rate: float
    """At its peak."""
    warm_up: float = 0.1
    """Share of all steps, 0 to 1, over which the learning rate rises."""
    patience: int = 3
    """Epochs without a better metric before stopping early."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from the first epoch's first."""
        total = self.epochs * self.steps
        rising = max(1, round(self.warm_up * total))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return (
            self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))
        )


@dataclass(slots=True)
class LoopState:
    """How far a run has come: the part of a checkpoint that is not arrays."""

    epoch: int = 0
    step: int = 0
    """Within the epoch."""
    loss_sum: float = 0.0
    best: float = -math.inf
    since_best: int = 0
    finished: bool = False
    history: list[Metrics] = field(default_factory=list)


def fit(
    model: keras.Model,
    batch: Callable[[int, int], Batch],
    schedule: Schedule,
    *,
    validate: Callable[[], Metrics],
    metric: str,
    folder: Path,
    resume: bool,
    progress: Progress,
) -> list[Metrics]:
    """Train to the schedule's end or until the metric stops rising; leave the best weights loaded.

    Parameters
    ----------
    model
        Compiled; trained by `train_on_batch`.
    batch
        (epoch, step) → (x, y); called ahead of time on other threads, two at a time.
    validate
        Measures the model on the dev split, after each epoch.
    metric
        Which of its figures chooses the best epoch; larger is better.
    folder
        For `last.safetensors`, written after every epoch and every ten minutes, and
        `best.safetensors`, `curves.csv` and events for TensorBoard. Its name is what progress
        calls this part.
    resume
        Continue from `last.safetensors` if there is one.

    Returns
    -------
    list
        For each epoch `epoch`, `loss`, `seconds` and what `validate` measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    state = LoopState()
    part = folder.name.replace("-", " ")
    model.optimizer.build(model.trainable_variables)
    if resume and last.is_file():
        state = _restore(model, last, schedule)
        if state.finished or state.epoch >= schedule.epochs:
            progress.note(f"{part}: trained already")
        else:
            progress.note(f"Resuming {part} at epoch {state.epoch + 1}, step {state.step + 1}.")
    done = state.epoch * schedule.steps + state.step
    files = CurveFiles(folder)
    try:
        files.write(state.history)
        with progress.stage(part, schedule.epochs * schedule.steps, done=done) as advance:
            _train(
                model, batch, schedule, state, validate, metric, folder, progress, advance, files
            )
    except KeyboardInterrupt:
        _save(model, state, schedule, last)
        progress.note(
            f"Stopped {part} at epoch {state.epoch + 1}, step {state.step} of {schedule.steps}. "
            "Run the command again with --resume to continue."
        )
        raise
    finally:
        files.close()
    if best.is_file():
        _restore(model, best, schedule)
    return state.history


def _train(
    model: keras.Model,
    batch: Callable[[int, int], Batch],
    schedule: Schedule,
    state: LoopState,
    validate: Callable[[], Metrics],
    metric: str,
    folder: Path,
    progress: Progress,
    advance: Advance,
    files: CurveFiles,
) -> None:
    """Train to the end. Wherever an interrupt stops it, model and state agree."""
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    part = folder.name.replace("-", " ")
    backend = runtime()
    with ThreadPoolExecutor(BATCHES_AHEAD) as ahead:
        while state.epoch < schedule.epochs and not state.finished:
            started = saved = time.monotonic()
            name = f"{part}, epoch {state.epoch + 1} of {schedule.epochs}"
            first = state.step
            upcoming = deque(
                ahead.submit(batch, state.epoch, step)
                for step in range(first, min(first + BATCHES_AHEAD, schedule.steps))
            )
            for step in range(first, schedule.steps):
                x, y = upcoming.popleft().result()
                if step + BATCHES_AHEAD < schedule.steps:
                    upcoming.append(ahead.submit(batch, state.epoch, step + BATCHES_AHEAD))
                number = state.epoch * schedule.steps + step
                model.optimizer.learning_rate = schedule.rate(number)
                backend.seed_step(number)
                model.reset_metrics()
                with _uninterrupted():
                    state.loss_sum += float(model.train_on_batch(x, y, return_dict=True)["loss"])
                    state.step = step + 1
                advance(name)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    _save(model, state, schedule, last)
                    saved = time.monotonic()
            measured = {
                "epoch": float(state.epoch + 1),
                "loss": state.loss_sum / schedule.steps,
                "seconds": time.monotonic() - started,
                **validate(),
            }
            progress.note(f"{name}: {curves.summary(measured, _SHOWN)}")
            with _uninterrupted():
                state.history.append(measured)
                state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
                if measured[metric] > state.best:
                    state.best, state.since_best = measured[metric], 0
                    _save(model, state, schedule, best)
                else:
                    state.since_best += 1
                    state.finished = state.since_best >= schedule.patience
                _save(model, state, schedule, last)
            files.write(state.history)
            progress.measured(folder.name, measured)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay signal handlers until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    received: list[tuple[int, FrameType | None]] = []
    before = {
        number: handler
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        if hasattr(signal, name)
        and callable(handler := signal.getsignal(number := getattr(signal, name)))
    }
    for number in before:
        signal.signal(number, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, frame in received[:1]:
        before[number](number, frame)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {
        **{f"model.{n:04}": variable for n, variable in enumerate(model.variables)},
        **{f"optimizer.{n:04}": variable for n, variable in enumerate(model.optimizer.variables)},
    }


def _save(model: keras.Model, state: LoopState, schedule: Schedule, file: Path) -> None:
    arrays = {
        name: np.array(keras.ops.convert_to_numpy(variable), order="C")
        for name, variable in _variables(model).items()
    }
    about = {"state": vars_of(state), "schedule": vars_of(schedule)}
    partial = file.with_suffix(".partial")
    save_file(arrays, partial, metadata={"captioner": json.dumps(about)})
    partial.replace(file)


def _restore(model: keras.Model, file: Path, schedule: Schedule) -> LoopState:
    with safe_open(file, framework="numpy") as stored:
        about = json.loads(stored.metadata()["captioner"])
        variables = _variables(model)
        if about.get("schedule") != vars_of(schedule) or set(stored.keys()) != set(variables):
            raise CaptionerError(
                f"{file} is a checkpoint of another run: its schedule or its model differs.",
                "Resume with the options of that run, or start again with --force.",
            )
        for name, variable in variables.items():
            variable.assign(stored.get_tensor(name))
    return LoopState(**about["state"])


def vars_of(record: Any) -> Mapping[str, Any]:
    """The fields of a slotted dataclass, as a dictionary for JSON."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
