"""The training loop, one for every part of the model: steps, checkpoints, early stopping, resuming.

A batch is a function of (epoch, step) alone, and a checkpoint holds every variable of the model and
its optimizer, dropout's seeds included. So a resumed run is the same run.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from captioner.errors import CaptionerError

Batch = tuple[Any, Any]
Metrics = dict[str, float]
Report = Callable[[str], None]
CHECKPOINT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train.

    The learning rate rises linearly over `warm_up` of all steps, then falls to zero on a cosine.
    """

    epochs: int
    steps: int
    """Per epoch."""
    learning_rate: float
    warm_up: float = 0.1
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
class State:
    """Where a run is: the part of a checkpoint that is not arrays."""

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
    plan: Plan,
    *,
    validate: Callable[[], Metrics],
    metric: str,
    folder: Path,
    resume: bool,
    report: Report,
) -> list[Metrics]:
    """Train to the plan's end, or until the metric stops rising; leave the best weights loaded.

    Parameters
    ----------
    model
        Compiled; trained by `train_on_batch`.
    batch
        (epoch, step) → (x, y); called ahead of time on another thread.
    validate
        Measures the model on the dev split, after each epoch.
    metric
        Which of its figures decides; larger is better.
    folder
        Gets `last.safetensors` after every epoch and every ten minutes, and `best.safetensors`.
    resume
        Go on from `last.safetensors` where there is one.

    Returns
    -------
    list
        One dictionary an epoch: `epoch`, `loss`, `seconds` and what `validate` measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    state = State()
    model.optimizer.build(model.trainable_variables)
    if resume and last.is_file():
        state = _restore(model, last, plan)
        report(f"resuming {model.name} at epoch {state.epoch + 1}, step {state.step + 1}")
    try:
        _train(model, batch, plan, state, validate, metric, folder, report)
    except KeyboardInterrupt:
        _save(model, state, plan, last)
        report(
            f"{model.name}: stopped at epoch {state.epoch + 1}, step {state.step} of {plan.steps};"
            " --resume goes on from there"
        )
        raise
    if best.is_file():
        _restore(model, best, plan)
    return state.history


def _train(
    model: keras.Model,
    batch: Callable[[int, int], Batch],
    plan: Plan,
    state: State,
    validate: Callable[[], Metrics],
    metric: str,
    folder: Path,
    report: Report,
) -> None:
    """Train to the end. Wherever an interrupt ends it, model and state fit together."""
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    with ThreadPoolExecutor(1) as ahead:
        while state.epoch < plan.epochs and not state.finished:
            began = saved = time.monotonic()
            coming = ahead.submit(batch, state.epoch, state.step)
            for step in range(state.step, plan.steps):
                x, y = coming.result()
                if step + 1 < plan.steps:
                    coming = ahead.submit(batch, state.epoch, step + 1)
                model.optimizer.learning_rate = plan.rate(state.epoch * plan.steps + step)
                model.reset_metrics()
                with _uninterrupted():
                    state.loss_sum += float(model.train_on_batch(x, y, return_dict=True)["loss"])
                    state.step = step + 1
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    _save(model, state, plan, last)
                    saved = time.monotonic()
                    report(
                        f"{model.name}: epoch {state.epoch + 1}, step {step + 1} of {plan.steps},"
                        f" loss {state.loss_sum / state.step:.4f}"
                    )
            measured = {
                "epoch": float(state.epoch + 1),
                "loss": state.loss_sum / plan.steps,
                "seconds": time.monotonic() - began,
                **validate(),
            }
            report(f"{model.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in measured.items()))
            with _uninterrupted():
                state.history.append(measured)
                state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
                if measured[metric] > state.best:
                    state.best, state.since_best = measured[metric], 0
                    _save(model, state, plan, best)
                else:
                    state.since_best += 1
                    state.finished = state.since_best >= plan.patience
                _save(model, state, plan, last)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off what signals do until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {
        number: handler
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        if hasattr(signal, name)
        and callable(handler := signal.getsignal(number := getattr(signal, name)))
    }
    for number in before:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, frame in came[:1]:
        before[number](number, frame)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    return {
        **{f"model.{n:04}": variable for n, variable in enumerate(model.variables)},
        **{f"optimizer.{n:04}": variable for n, variable in enumerate(model.optimizer.variables)},
    }


def _save(model: keras.Model, state: State, plan: Plan, file: Path) -> None:
    arrays = {
        name: np.array(keras.ops.convert_to_numpy(variable), order="C")
        for name, variable in _variables(model).items()
    }
    about = {"state": vars_of(state), "plan": vars_of(plan)}
    partial = file.with_suffix(".partial")
    save_file(arrays, partial, metadata={"captioner": json.dumps(about)})
    partial.replace(file)


def _restore(model: keras.Model, file: Path, plan: Plan) -> State:
    with safe_open(file, framework="numpy") as stored:
        about = json.loads(stored.metadata()["captioner"])
        variables = _variables(model)
        if about["plan"] != vars_of(plan) or set(stored.keys()) != set(variables):
            raise CaptionerError(
                f"{file} is a checkpoint of another run: its plan or its model differs.",
                "Resume with the options that run had, or leave out --resume.",
            )
        for name, variable in variables.items():
            variable.assign(stored.get_tensor(name))
    return State(**about["state"])


def vars_of(record: Any) -> Mapping[str, Any]:
    """A slotted dataclass as a dictionary that survives JSON."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
