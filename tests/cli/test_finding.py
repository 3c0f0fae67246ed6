"""What `captioner search` and `similar` make of their options, and what they print where."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import colour_describer
import fake_descriptions
import pytest
from processes import ROOT
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.index import Index
from captioner.types import Facts, QueryPlan

Run = Callable[..., Result]
ODD = os.fsdecode(b"li\xffne\nbreak.jpg")


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos; the file of one is there, and the name of another is no text."""
    path = tmp_path / "captioner.db"
    monkeypatch.setenv("CAPTIONER_DB", str(path))
    monkeypatch.setattr(
        "captioner.model.query.load_planner", lambda bundle=None: ("m", lambda query: None)
    )
    real = colour_describer.photo(tmp_path / "red.jpg", "red")
    photos = {
        str(real): ("A red wall.", Facts(taken_at="2024-05-06T07:08:09", camera="Canon EOS R6")),
        "/photos/dog.jpg": ("A dog on a beach.", Facts(taken_at="2023-01-01T00:00:00")),
        f"/photos/{ODD}": ("A red car.", Facts()),
    }
    with Index.open(path, write=True) as index:
        index.store(
            [
                replace(fake_descriptions.description(name, caption), facts=facts)
                for name, (caption, facts) in photos.items()
            ],
            "m",
        )
    return path


@pytest.fixture
def run() -> Run:
    return lambda *words: CliRunner().invoke(app, list(words), prog_name="captioner")


def as_process(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "captioner", *map(str, words)],
        check=False,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_filters_work_with_words_and_without(run: Run, tmp_path: Path) -> None:
    newest = run("search", "--after", "2023")
    assert (
        newest.stdout
        == f"{tmp_path}/red.jpg\tA red wall.\t\n/photos/dog.jpg\tA dog on a beach.\t\n"
    )
    assert newest.stderr == ""
    [red] = run("search", "red", "--camera", "canon").stdout.splitlines()
    path, caption, score = red.split("\t")
    assert (path, caption) == (f"{tmp_path}/red.jpg", "A red wall.")
    assert float(score) > 0.5
    [line] = run("search", "--in", "/photos", "--json", "--before", "2024").stdout.splitlines()
    found = json.loads(line)
    assert (found["path"], found["score"]) == ("/photos/dog.jpg", None)


def test_without_words_and_filters_the_newest_come_first(run: Run, tmp_path: Path) -> None:
    result = run("search", "--print-path", "-n", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}/red.jpg\n/photos/dog.jpg\n"
    assert run("search", "", "--print-path").exit_code == 2  # an unset variable of a shell


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-beach", "-car"], "red.jpg"),
        (["red", "-wall"], "car"),
        (["-wall", "red"], "car"),
        (["red", "-red car"], "red.jpg"),
        (["-car red"], "red.jpg"),
        (["red", "-n1", "-car"], "red.jpg"),
        (["red", "-0", "-car"], "red.jpg"),
        (["red", "-n", "1", "-car"], "red.jpg"),
        (["red", "--", "-car"], "red.jpg"),
        (["red", "-nowhere", "-car"], "red.jpg"),
        (["red", "--camera", "-canon"], ""),
        (["red", "--exact", "-car"], "red.jpg"),
    ],
)
def test_words_after_a_minus_are_left_out(run: Run, words: list[str], found: str) -> None:
    result = run("search", "--print-path", *words)
    assert result.exit_code == 0, result.stderr
    # The name of the red car is no text, and has a line break.
    names = result.stdout.rstrip("\0\n").replace("ne\nbreak.jpg", "car")
    assert names.endswith(found)
    assert "\n" not in names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["red", "--limt", "3"], "No such option: --limt"),
        (["red", "-limit", "3"], "could be the option --limit"),
        (["red", "-x"], "No such option: -x"),
        (["--exact"], "--exact requires words"),
    ],
)
def test_mistyped_options_are_no_exclusions(run: Run, words: list[str], said: str) -> None:
    result = run("search", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_what_fits_badly_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def sees(query: str) -> QueryPlan:
        return replace(
            fake_descriptions.query_plan((1, 0), (0, 0)),
            log_odds=lambda evidence: evidence[:, 0] * 0 - 4,
        )

    monkeypatch.setattr("captioner.model.query.load_planner", lambda bundle=None: ("m", sees))
    result = run("search", "zebra", "--json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No good match. Use --min-score 0 to see the closest photos.\n"
    lines = run("search", "zebra", "--json", "--min-score", "0").stdout.splitlines()
    assert [json.loads(line)["score"] for line in lines] == [pytest.approx(0.018, abs=0.001)] * 3
    assert run("search", "dog", "--print-path").stdout == "/photos/dog.jpg\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", " "], "the query is empty"),
        (["search", "--after", "yesterday"], "'yesterday' is not a date"),
        (["search", "--near=-91,0,1"], "is not a latitude"),
        (["similar", "red.jpg", "--near", "here"], "is not a latitude"),
        (["search", "red", "--json", "-0"], "mutually exclusive"),
        (["search", "red", "--preview", "--print-path"], "mutually exclusive"),
        (["search", "red", "--preview"], "only in a terminal"),
    ],
)
def test_wrong_use(run: Run, words: list[str], said: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_negative_degrees_need_no_equals_sign(run: Run) -> None:
    result = run("search", "--near", "-33.9,-18.4,10")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No photo in the index matches the filters" in result.stderr


def test_words_nobody_knows_are_respelled_aloud(run: Run) -> None:
    result = run("search", "baech", "--print-path")
    assert result.stdout == "/photos/dog.jpg\n"
    assert result.stderr == "Searched for beach instead of baech.\n"
    assert run("search", "--exact", "baech").stdout == ""


def test_paths_for_other_programs_are_the_very_bytes(tmp_path: Path) -> None:
    odd = b"/photos/" + os.fsencode(ODD)
    both = sorted([odd, os.fsencode(tmp_path / "red.jpg")])
    found = as_process("search", "--exact", "red", "-0")
    assert (found.returncode, found.stderr) == (0, b"")
    assert sorted(found.stdout.rstrip(b"\0").split(b"\0")) == both
    assert as_process("search", "--exact", "red car", "--print-path").stdout == odd + b"\n"


def test_an_empty_result_says_what_to_do(run: Run, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE photos SET missing_since = '2026' WHERE path = ?", [b"/photos/dog.jpg"]
        )
    result = run("search", "dog")
    assert (result.exit_code, result.stdout) == (0, "")
    nothing, missing, remedy = result.stderr.splitlines()
    assert nothing == "Nothing found for: dog"
    assert missing.startswith("Omitted: 1 photo with missing")
    assert remedy
    assert "matches the filters" in run("search", "red", "--after", "2030").stderr


def test_open_hands_the_best_to_the_system(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("captioner.cli.hits.OPENED", 1)
    viewer = tmp_path / "bin/xdg-open"
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{tmp_path}/seen.part"\n'
                      f'mv "{tmp_path}/seen.part" "{tmp_path}/seen"\n')  # fmt: skip
    viewer.chmod(0o755)
    monkeypatch.setenv("PATH", str(viewer.parent), prepend=os.pathsep)
    result = run("search", "red", "wall", "--open", "--min-score", "0")
    assert result.exit_code == 0
    assert result.stderr == "Opened the best 1 of 2.\n"
    deadline = time.monotonic() + 60
    while not (tmp_path / "seen").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / "seen").read_text() == f"{tmp_path}/red.jpg"
    monkeypatch.setenv("PATH", "")
    without = run("search", "red", "--open")
    assert without.exit_code == 1
    assert without.stdout
    assert "no program that opens photos" in without.stderr


def test_preview_draws_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual_image")
    pty = pytest.importorskip("pty", reason="terminals are tested where there is pty")
    termios = pytest.importorskip("termios")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    search = subprocess.Popen(
        [sys.executable, "-m", "captioner", "search", "--exact", "red", "--preview"],
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # How a pty ends on Linux.
            break
        if not shown.endswith(b"\n") and search.poll() is not None:
            break
    os.close(ours)
    _, said = search.communicate()
    assert search.returncode == 0, said
    assert b"38;2;2" in shown  # red, as the photo is
    assert b"cannot read /photos/li\\xffne\\nbreak.jpg: No such file" in said


def test_json_says_all_that_is_known_of_a_hit(run: Run) -> None:
    [dog] = map(json.loads, run("search", "dog", "--json").stdout.splitlines())
    assert dog.pop("score") > 0.9  # the file is named so
    assert dog == {
        "path": "/photos/dog.jpg", "caption": "A dog on a beach.", "kind": "sentence",
        "source": "model", "confidence": 0.5, "matched": ["name"], "file_title": None,
        "taken_at": "2023-01-01T00:00:00", "camera": None, "latitude": None, "longitude": None,
        "keywords": [], "file_keywords": [], "copies": [], "edited_keywords": [],
    }  # fmt: skip
    similar = json.loads(run("similar", "/photos/dog.jpg", "--json").stdout.splitlines()[0])
    assert similar.keys() == {*dog, "score"}
