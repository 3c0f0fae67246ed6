"""`captioner tune` from the command line: what it refuses, and a whole search on a few photos."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import colour_describer
import pytest
from processes import ROOT, run
from typer.testing import CliRunner

from captioner.cli.app import app
from captioner.training import settings

optuna = pytest.importorskip("optuna")

COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    rows = ["image,caption"]
    for number in range(24):
        colour = COLOURS[number % len(COLOURS)]
        colour_describer.photo(folder / f"Images/{number:02}.jpg", colour)
        rows += [f"{number:02}.jpg,a {colour} photo", f"{number:02}.jpg,the photo is {colour}"] * 2
    (folder / "captions.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "there is nothing to vary"),
        ("--vary rat=1..2", "rat is no option of captioner train"),
        ("--vary epochs=1..2 --set epoch=1", "epoch is no option of captioner train"),
        ("--vary out=a,b", "out cannot be varied"),
        ("--vary rate=0..1", "Invalid value for '--rate'"),
        ("--vary preset=base,huge", "Invalid value for '--preset'"),
        ("--vary epochs=1..2 --set decoders=0", "Invalid value for '--decoders'"),
        ("--vary epochs=1..2 --set decoders", "sets no option"),
        ("--vary epochs=1..2 --space nowhere.toml", "nowhere.toml cannot be read"),
        ("--vary epochs=1..2 --out full", "full is not empty"),
        ("--vary epochs=1..2 --data nowhere", "nowhere: it does not exist"),
    ],
)
def test_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPTIONER_DATA", raising=False)
    Path("full").mkdir()
    Path("full/holiday.jpg").touch()
    given = [] if "--data" in words else ["--data", str(data)]
    result = CliRunner().invoke(app, ["tune", *given, *words.split()])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert reason in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def trials(folder: Path) -> list[Any]:
    """The trials of a study, as its own storage has them."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    return list(optuna.load_study(study_name="captioner", storage=storage).trials)


@pytest.mark.training
@pytest.mark.posix
@pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)
def test_a_search_that_is_killed_goes_on_and_its_best_options_train(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    words = [
        "tune", "--data", data, "--out", out, "--vary", "rate=1e-3..1e-1:log", "--vary",
        "epochs=2..4", "--set", "head-epochs=1", "--prune-after", 1,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "captioner", *map(str, [*words, "--trials", 4])],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "CAPTIONER_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:  # the second trial has trained for an epoch
        if re.match(r"trial 1: decoder 1, epoch 1 ", line):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [trial.state.name for trial in trials(out)] == ["COMPLETE", "RUNNING"]
    killed = trials(out)[1]

    refused = run(*words, home=tmp_path / "home")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    done = run(*words, "--trials", 4, "--resume", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out / 'best.toml'}\n"
    assert "1 trial that was interrupted runs again." in done.stderr
    found = trials(out)
    assert found[1].state.name == "FAIL"
    assert found[2].params == killed.params
    assert "trial 2: heads: trained already" in done.stderr  # from its checkpoints
    assert {trial.state.name for trial in found[2:]} <= {"COMPLETE", "PRUNED"}
    assert len(found) == 5  # four and the one that was killed
    best = max((t for t in found if t.state.name == "COMPLETE"), key=lambda one: one.value)
    options = settings.read(out / "best.toml")
    assert options == {"data": str(data), "head-epochs": 1, **best.params}

    listed = run("runs", out, "--json", home=tmp_path / "home")
    records = [json.loads(line) for line in listed.stdout.splitlines()]
    assert {record["folder"] for record in records} == {
        str(out / f"trials/{number:04}-training") for number in (0, 1, 3, 4)
    }
    for record in records:
        assert re.search(r"captioner train --config .*\.toml --out ", record["command"])
        assert record["state"] == "finished" or record["reason"].startswith("pruned after epoch")
    (bundle,) = out.glob("trials/*/bundle.json")  # only the best one is kept
    assert bundle.parent.name == f"{best.user_attrs['run']:04}"

    mine = tmp_path / "mine"
    trained = run("train", "--config", out / "best.toml", "--out", mine, home=tmp_path / "home")
    assert trained.returncode == 0, trained.stderr
    training = json.loads((mine / "bundle.json").read_text())["training"]
    assert training["options"]["decoders"]["epochs"] == best.params["epochs"]
    files = json.loads((mine / "bundle.json").read_text())["files"]
    assert files == json.loads(bundle.read_text())["files"]  # the same run, the same bundle


@pytest.mark.training
@pytest.mark.posix
@pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)
def test_several_trials_at_a_time(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    words = [
        "tune", "--data", data, "--out", out, "--vary", "epochs=1..2", "--set", "head-epochs=1",
        "--jobs", 2, "--trials", 3, "--prune-after", 9,
    ]  # fmt: skip
    done = run(*words, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    found = trials(out)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 3
    assert len({trial.user_attrs["worker"] for trial in found}) == 2

    process = subprocess.Popen(
        [sys.executable, "-m", "captioner", *map(str, [*words, "--resume", "--trials", 99])],
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "CAPTIONER_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if re.match(r"trial \d+: heads, ", line):
            break
    again = run(*words, "--resume", home=tmp_path / "home")
    assert "another process is tuning" in again.stderr
    process.send_signal(signal.SIGKILL)  # its workers end by themselves
    process.communicate()
    deadline = time.monotonic() + 120
    while any(trial.state.name == "RUNNING" for trial in trials(out)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    interrupted = [trial for trial in trials(out) if trial.user_attrs.get("interrupted")]
    assert interrupted
