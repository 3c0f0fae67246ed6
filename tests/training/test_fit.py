"""The training loop: schedules, early stopping, and resumed runs that are the same run."""

from __future__ import annotations

import signal
from contextlib import contextmanager

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.training import fit as loop
from captioner.training.fit import Schedule, fit
from captioner.training.progress import Silent

pytestmark = pytest.mark.training

keras = pytest.importorskip("keras")


class Notes(Silent):
    """Keeps the lines that stay, and counts the steps of each stage."""

    def __init__(self):
        self.lines, self.stages = [], []

    def note(self, text):
        self.lines.append(text)

    @contextmanager
    def stage(self, name, total, *, done=0, unit="step"):
        steps = []
        self.stages.append((name, total, done, steps))
        yield steps.append


def network():
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ],
        name="tiny",
    )
    model.compile(optimizer=keras.optimizers.AdamW(0.01), loss="mse", jit_compile=False)
    return model


def batch(epoch, step):
    random = np.random.default_rng([epoch, step])
    x = random.normal(size=(16, 4)).astype(np.float32)
    return x, x.sum(1, keepdims=True)


def run(model, folder, *, epochs=3, get=batch, resume=False, scores=None, patience=9):
    measured = iter(scores or range(100))
    return fit(
        model, get, Schedule(epochs, 5, 0.01, patience=patience),
        validate=lambda: {"score": float(next(measured))}, metric="score",
        folder=folder, resume=resume, progress=Silent(),
    )  # fmt: skip


def test_rate_rises_then_falls_to_zero():
    schedule = Schedule(epochs=10, steps=10, learning_rate=1.0, warm_up=0.1)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[9] == pytest.approx(1.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_resumed_run_is_the_same_run(tmp_path, monkeypatch):
    whole = network()
    run(whole, tmp_path / "whole")

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # a checkpoint after every step

    def pulls_the_plug(epoch, step):
        if (epoch, step) == (1, 4):
            raise KeyboardInterrupt
        return batch(epoch, step)

    stopped = network()
    with pytest.raises(KeyboardInterrupt):
        run(stopped, tmp_path / "parts", get=pulls_the_plug)
    resumed = network()
    resumed.set_weights([np.zeros_like(w) for w in resumed.get_weights()])
    history = run(resumed, tmp_path / "parts", resume=True, scores=range(1, 100))

    assert [h["epoch"] for h in history] == [1, 2, 3]
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_stops_early_and_leaves_the_best_weights(tmp_path):
    model = network()
    history = run(model, tmp_path, epochs=9, scores=[1, 5, 4, 3, 2, 1], patience=2)
    assert [h["score"] for h in history] == [1, 5, 4, 3]

    two_epochs = network()
    fit(
        two_epochs, batch, Schedule(9, 5, 0.01, patience=1),
        validate=iter([{"score": 1.0}, {"score": 5.0}, {"score": 0.0}]).__next__, metric="score",
        folder=tmp_path / "two", resume=False, progress=Silent(),
    )  # fmt: skip
    for ours, theirs in zip(model.get_weights(), two_epochs.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path):
    run(network(), tmp_path)
    with pytest.raises(CaptionerError, match="another run"):
        run(network(), tmp_path, epochs=4, resume=True)


@pytest.mark.parametrize("place", ["step", "validation"])
def test_an_interrupt_leaves_a_checkpoint(tmp_path, monkeypatch, place):
    whole = network()
    run(whole, tmp_path / "whole")

    stopped = network()
    train, calls = stopped.train_on_batch, []

    def interrupted(*words, **options):
        # In the middle of a step, which is finished first.
        if len(calls) == 7 and place == "step":
            signal.raise_signal(signal.SIGINT)
        calls.append(options)
        return train(*words, **options)

    def validate():
        if place == "validation":
            signal.raise_signal(signal.SIGINT)
        return {"score": 0.0}

    monkeypatch.setattr(stopped, "train_on_batch", interrupted)
    notes = Notes()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(
            stopped, batch, Schedule(3, 5, 0.01, patience=9), validate=validate, metric="score",
            folder=tmp_path / "heads", resume=False, progress=notes,
        )  # fmt: skip
    where = "epoch 2, step 3 of 5" if place == "step" else "epoch 1, step 5 of 5"
    assert notes.lines[-1] == (
        f"Stopped heads at {where}. Run the command again with --resume to continue."
    )
    assert signal.getsignal(signal.SIGINT) is handler

    resumed = network()
    run(resumed, tmp_path / "heads", resume=True)
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_progress_counts_steps_and_goes_on_where_a_run_stopped(tmp_path):
    notes = Notes()
    options = {"metric": "score", "folder": tmp_path / "decoder-1", "progress": notes}
    schedule = Schedule(3, 5, 0.01, patience=9)
    fit(network(), batch, schedule, validate=lambda: {"score": 1.0}, resume=False, **options)
    ((name, total, done, steps),) = notes.stages
    assert (name, total, done) == ("decoder 1", 15, 0)
    assert steps == [f"decoder 1, epoch {1 + n // 5} of 3" for n in range(15)]
    assert notes.lines[0].startswith("decoder 1, epoch 1 of 3: loss ")
    fit(network(), batch, schedule, validate=lambda: {"score": 1.0}, resume=True, **options)
    assert notes.stages[1] == ("decoder 1", 15, 15, [])
    assert notes.lines[-1] == "decoder 1: trained already"
