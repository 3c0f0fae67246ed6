"""Search spaces and studies: values, interrupted trials, pruning, and the report; no training."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from captioner.errors import CaptionerError, UsageError
from captioner.training import curve_files, search_space, settings, study
from captioner.training.experiment import StoppedEarly
from captioner.training.search_space import Choices, Range, parse
from captioner.training.study import Study, run_number

pytest.importorskip("optuna")

from optuna.trial import TrialState

from captioner.cli.trials import TrialProgress

SPACE = parse(["rate=1e-4..1e-2:log", "epochs=2..8", "preset=base,classic"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("epochs=2..8", Range(2, 8)),
        ("--rate=1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
        ("rate=0.5..2", Range(0.5, 2)),
        ("preset=base,classic", Choices(("base", "classic"))),
        ("fine-tune=0, 2,4", Choices((0, 2, 4))),
        ("flag=true,false", Choices((True, False))),
    ],
)
def test_values_as_they_are_typed(word: str, expected: object) -> None:
    (found,) = parse([word]).values()
    assert found == expected
    again = search_space.read({"x": str(found)}, Path("space.toml"))
    assert again == {"x": expected}


@pytest.mark.parametrize(
    "word",
    ["epochs", "epochs=", "=1..2", "epochs=8..2", "rate=0..1:log", "rate=a..b", "rate=1..2:"],
)
def test_values_that_are_none(word: str) -> None:
    with pytest.raises(UsageError):
        parse([word])


def test_a_space_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'data = "flickr8k"\n[vary]\nrate = { low = 1e-4, high = 0.01, log = true }\n'
        'epochs = "2..8"\npreset = ["base", "classic"]\n'
    )
    assert search_space.read(settings.read(file)["vary"], file) == SPACE
    for table in (1, {"rate": 1}, {"rate": []}, {"rate": {"low": 1}}, {"rate": ["a", {}]}):
        with pytest.raises(UsageError, match=r"space\.toml"):
            search_space.read(table, file)


@pytest.fixture
def opened(tmp_path: Path) -> Study:
    return Study.open(tmp_path / "study", SPACE, {"data": "photos"}, prune_after=1)


def test_the_first_trial_has_the_usual_values(opened: Study) -> None:
    opened.begin_with({"rate": 2e-3, "epochs": 8, "preset": "nothing of the kind", "seed": 1})
    trial = opened.ask(10, 0)
    assert trial
    assert (trial.params["rate"], trial.params["epochs"]) == (2e-3, 8)
    assert trial.params["preset"] in ("base", "classic")
    file = opened.write_options(trial)
    assert settings.read(file) == {"data": "photos", **trial.params}


def test_a_killed_trial_is_failed_and_goes_on_first(opened: Study) -> None:
    killed = opened.ask(2, 0)
    assert killed
    # As another process finds it.
    again = Study.open(opened.folder, SPACE, {"data": "photos"}, seed=5)
    assert again.revive() == 1
    assert again.revive() == 0
    trial = again.ask(2, 0)
    assert trial
    assert trial.number != killed.number
    assert trial.params == killed.params
    assert again.work(trial) == opened.work(killed)
    again.interrupt(trial)  # once more
    third = again.ask(2, 0)
    assert third
    assert (third.params, run_number(third)) == (killed.params, killed.number)
    again.finish(third, 30)
    last = again.ask(2, 0)  # trials that were interrupted do not count
    assert last
    assert last.params != killed.params
    again.finish(last, 20)
    assert again.ask(2, 0) is None
    assert again.best
    assert again.best.value == 30
    states = [trial.state for trial in again.optuna.trials]
    assert states == [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_a_worker_that_died_takes_its_trial_with_it(opened: Study) -> None:
    first, second = opened.ask(9, 1), opened.ask(9, 2)
    assert first and second
    assert opened.revive(1) == 1
    states = [trial.state for trial in opened.optuna.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING]
    assert "process died" in opened.optuna.trials[0].user_attrs["reason"]


def test_a_study_with_other_options_is_not_resumed(opened: Study) -> None:
    with pytest.raises(CaptionerError, match=r"other options: data=photos, and not data=others"):
        Study.open(opened.folder, SPACE, {"data": "others"})
    with pytest.raises(CaptionerError, match=r"other vary: .*epochs=2\.\.8.* not epochs=2\.\.9"):
        Study.open(opened.folder, parse(["epochs=2..9"]), {"data": "photos"})
    (opened.folder / "study.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(CaptionerError, match="cannot be opened"):
        Study.open(opened.folder, SPACE, {"data": "photos"})


def test_folders_of_something_else_are_left_alone(tmp_path: Path, opened: Study) -> None:
    study.check(tmp_path / "new", resume=False)
    study.check(opened.folder, resume=True)
    with pytest.raises(UsageError, match="--resume"):
        study.check(opened.folder, resume=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/holiday.jpg").touch()
    for folder in (tmp_path / "other", tmp_path / "other/holiday.jpg"):
        with pytest.raises(UsageError, match="is not"):
            study.check(folder, resume=True)


def epochs_of(opened: Study, trial: Any, *ciders: float) -> None:
    """What a run has written by now."""
    part = opened.work(trial) / study.PART
    part.mkdir(parents=True, exist_ok=True)
    rows = [{"epoch": float(n), "cider": cider} for n, cider in enumerate(ciders, 1)]
    (part / "curves.csv").write_text(curve_files.table(rows))


def test_a_bad_trial_is_pruned_by_the_cider_of_an_epoch(opened: Study) -> None:
    for cider in (30.0, 32.0):
        good = opened.ask(9, 0)
        assert good
        progress = TrialProgress(opened, good, alone=True)
        for epochs in ([cider], [cider, cider + 5]):
            epochs_of(opened, good, *epochs)
            progress.measured("decoder-1", {"epoch": len(epochs), "cider": epochs[-1]})
            progress.measured("heads", {"epoch": 1.0, "both_r10": 0.0})
        assert good.storage.get_trial(good._trial_id).intermediate_values == {
            1: cider, 2: cider + 5,
        }  # fmt: skip
        opened.finish(good, cider + 6)
    bad = opened.ask(9, 0)
    assert bad
    progress = TrialProgress(opened, bad, alone=True)
    epochs_of(opened, bad, 5.0)
    progress.measured("decoder-1", {"epoch": 1.0, "cider": 5.0})
    epochs_of(opened, bad, 5.0, 6.0)
    with pytest.raises(StoppedEarly, match=r"pruned after epoch 2 with CIDEr 6\.0"):
        progress.measured("decoder-1", {"epoch": 2.0, "cider": 6.0})


def test_results(opened: Study) -> None:
    opened.write_results()  # without any trial
    assert not (opened.folder / "best.toml").exists()
    for number, cider in enumerate((20.0, 40.0, 30.0, 10.0, 25.0, 35.0)):
        trial = opened.ask(9, 0)
        assert trial
        trial.report(cider - 1, 1)
        if number == 0:
            opened.fail(trial, "the disk is <full>.")
        elif number == 3:
            opened.prune(trial, "after epoch 1 with CIDEr 9.0")
        else:
            opened.finish(trial, cider)
        (opened.work(trial) / "heads").mkdir(parents=True)
        (opened.work(trial) / "heads/last.safetensors").touch()
        opened.clear(trial)
        opened.write_results()
    best = opened.best
    assert best
    assert best.number == 1
    assert settings.read(opened.folder / "best.toml") == {"data": "photos", **best.params}
    assert not list(opened.folder.rglob("*.safetensors"))
    page = (opened.folder / "report.html").read_text("utf-8")
    assert "40.00" in page
    assert "failed the disk is &lt;full&gt;." in page
    assert "pruned after epoch 1 with CIDEr 9.0" in page
    assert page.count("<circle") == 4 + 3 * 4  # finished trials, in the history and by each option
    assert page.count('class="cross"') == 2
    assert not re.search(r"<script|https?://|url\(|src=", page)
