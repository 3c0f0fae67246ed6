"""Runs on disk: their record, whatever ends them, their curves, and the list of them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from processes import ROOT
from typer.testing import CliRunner

from captioner.cli.app import app
from captioner.errors import CaptionerError, UsageError
from captioner.training import curve_files, experiment, settings
from captioner.training.experiment import Experiment, StoppedEarly, recorded
from captioner.training.runs import find_runs


def begun(seed: int = 1) -> Experiment:
    return experiment.begun(
        "train",
        Path("mine"),
        command=f"captioner train --seed {seed}",
        seed=seed,
        options={"--seed": seed, "--data": "my photos", "--dropout": None},
        config={"seed": seed},
        data={"corpora": [{"name": "my photos"}]},
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "mine-training"
    folder.mkdir()
    return folder


def test_a_finished_run_has_everything_that_it_takes_to_repeat_it(work: Path) -> None:
    with recorded(work, begun(), resume=False) as recording:
        (running,) = find_runs(work.parent)
        assert running.state == "running"
        recording.finish(47.5)
    record = json.loads((work / "run.json").read_text())
    assert (record["state"], record["cider"], record["seed"]) == ("finished", 47.5, 1)
    assert record["sessions"][0]["command"] == "captioner train --seed 1"
    assert {"captioner", "python", "numpy", "keras"} <= record["versions"].keys()
    assert record["environment"]["cores"] >= 1
    assert record["environment"]["system"]
    assert (work / "config.toml").read_text() == 'seed = 1\ndata = "my photos"\n'


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (KeyboardInterrupt(), "stopped", "interrupted"),
        (StoppedEarly("pruned"), "stopped", "pruned"),
        (CaptionerError("the disk is full."), "failed", "the disk is full."),
        (ValueError(), "failed", "ValueError"),
    ],
)
def test_what_ends_a_run_is_recorded(
    work: Path, error: BaseException, state: str, reason: str
) -> None:
    with pytest.raises(type(error)), recorded(work, begun(), resume=False):
        raise error
    (run,) = find_runs(work)
    assert (run.state, run.reason) == (state, reason)


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_experiment import begun
from captioner.training.experiment import recorded
with recorded(Path(sys.argv[1]), begun(), resume=False):
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.process
@pytest.mark.posix
def test_a_killed_run_has_stopped_and_goes_on(work: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, work, Path(__file__).parent],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    assert find_runs(work)[0].state == "running"
    with (
        pytest.raises(CaptionerError, match="another process is training in"),
        recorded(work, begun(), resume=True),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (killed,) = find_runs(work)
    assert (killed.state, killed.reason) == ("stopped", "killed")
    with recorded(work, begun(), resume=True) as recording:
        recording.finish(1.0)
    record = Experiment.read(work)
    assert record
    first, second = record.sessions
    assert first.ended_at is None
    assert second.ended_at
    assert find_runs(work)[0].state == "finished"
    with recorded(work, begun(), resume=False):
        pass
    assert len(json.loads((work / "run.json").read_text())["sessions"]) == 1


def history(*ciders: float) -> list[dict[str, float]]:
    return [
        {"epoch": float(n), "loss": 3.0 / n, "cider": cider} for n, cider in enumerate(ciders, 1)
    ]


def test_curves_are_whole_after_every_epoch_and_after_a_resumed_one(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as on JAX alone
    part = work / "decoder-1"
    part.mkdir()
    files = curve_files.CurveFiles(part)
    files.write([])
    assert list(part.iterdir()) == []
    for epochs in (1, 2):
        files.write(history(20, 30)[:epochs])
    files.close()
    again = curve_files.CurveFiles(part)  # the second epoch was not in the checkpoint
    again.write(history(20))
    again.write([*history(20, 31), {"epoch": 3.0, "loss": 1.0, "words": 9.0}])
    again.close()
    rows = list(csv.DictReader((part / "curves.csv").open()))
    assert [row["cider"] for row in rows] == ["20", "31", ""]
    assert rows[2]["words"] == "9.0"
    assert curve_files.read(work)["decoder-1"][2] == {"epoch": 3.0, "loss": 1.0, "words": 9.0}


@pytest.mark.training
def test_events_are_those_of_tensorboard(work: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    part = work / "decoder-1"
    part.mkdir()
    for ciders in ((20.0, 30.0), (20.0, 31.0, 32.0)):  # and once more, as a resumed run does
        files = curve_files.CurveFiles(part)
        files.write(history(*ciders))
        files.close()
    (file,) = part.glob("events.out.tfevents.*")
    found = [
        (event.step, value.tag, float(tensorflow.make_ndarray(value.tensor)))
        for event in tensorflow.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars"
    ]
    assert [one for one in found if one[1] == "cider"] == [
        (1, "cider", 20), (2, "cider", 31), (3, "cider", 32),
    ]  # fmt: skip
    curve_files.remove(work)
    assert list(part.iterdir()) == []


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for number, ciders in enumerate(((20.0, 30.0), (25.0,), ())):
        work = tmp_path / f"study/{number}-training"
        (work / "decoder-1").mkdir(parents=True)
        record = begun(number)
        start = f"2026-01-0{number + 1}T00:00:00+00:00"
        end = f"2026-01-0{number + 1}T01:02:03+00:00"
        session = replace(record.sessions[0], started_at=start, ended_at=end)
        state = "finished" if number == 0 else "failed"
        replace(record, sessions=(session,), state=state, cider=33.21 if number == 0 else None,
                reason="" if number == 0 else "no space").write(work)  # fmt: skip
        if ciders:
            (work / "decoder-1/curves.csv").write_text(curve_files.table(history(*ciders)))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/run.json").write_text("{")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer/run.json").write_text('{"format": 99, "sessions": []}')
    result = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert result.exit_code == 0, result.output
    heading, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert heading[0] == "state"
    assert [row[-1] for row in rows] == [str(tmp_path / f"study/{n}-training") for n in (2, 1, 0)]
    assert [row[0] for row in rows] == ["failed: no space", "failed: no space", "finished"]
    assert [row[2:6] for row in rows] == [
        ["1:02:03", "0", "", ""], ["1:02:03", "1", "25.0", ""], ["1:02:03", "2", "30.0", "33.2"],
    ]  # fmt: skip
    found = CliRunner().invoke(app, ["runs", str(tmp_path), "--json"])
    assert json.loads(found.stdout.splitlines()[0])["seed"] == 2
    nothing = CliRunner().invoke(app, ["runs", str(tmp_path / "broken")])
    assert (nothing.stdout, nothing.exit_code) == ("", 0)
    assert "no training runs" in nothing.stderr
    assert CliRunner().invoke(app, ["runs", str(tmp_path / "nowhere")]).exit_code == 2


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    options = {
        "--epochs": 8, "--rate": 1e-4, "--data": 'a "b" \\ ü\n', "--resume": True,
        "--extra-data": ["a", "b:2"], "--nothing": None,
    }  # fmt: skip
    file = tmp_path / "config.toml"
    file.write_text(settings.written(options, "The best\nof all"), "utf-8")
    assert file.read_text("utf-8").startswith("# The best\n# of all\nepochs = 8\n")
    del options["--nothing"]
    assert settings.read(file) == {name.removeprefix("--"): v for name, v in options.items()}
    for content in ("epochs = ", "\udcff"):
        file.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(UsageError, match="cannot be read"):
            settings.read(file)
