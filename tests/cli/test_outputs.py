"""Files that options name: never a photo, a folder, a database or another option's file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import colour_describer
import pytest
from conftest import WITHOUT_POSIX
from typer.testing import CliRunner, Result

from captioner.cli import outputs
from captioner.cli.app import app
from captioner.errors import UsageError
from captioner.index import Index

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, its sidecar, and files of other programs; the index is beside it."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("captioner.model.load", lambda *_, **__: colour_describer.ColourDescriber())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    photo = colour_describer.photo(Path("red.jpg"), "red")
    Path("no_ending").write_bytes(photo.read_bytes())
    Path("red.jpg.xmp").write_text("<x:xmpmeta/>")
    Path("words.XMP").write_text("")
    Path("page.html").write_text("\ufeff<!DOCTYPE html>")
    Path("binary").write_bytes(b"text at first\n" * 500 + b"\0\1")
    Path("notes.txt").write_text("mine\n")
    Path("folder").mkdir()
    Path("broken").symlink_to("nowhere")
    Path("link").symlink_to("red.jpg")
    with Index.open(tmp_path / "home/captioner.db", write=True):
        pass
    with Index.open(Path("other.db"), write=True):
        pass
    Path("other.db.lock").unlink()
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    runner = CliRunner()
    return lambda *words: runner.invoke(app, list(map(str, words)), prog_name="captioner")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def assert_refused(result: Result, before: dict[str, bytes], folder: Path, reason: str) -> None:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert reason in result.stderr
    assert contents(folder) == before


@pytest.mark.parametrize(
    "name",
    ["red.jpg", "new.jpg", "link", "no_ending", "red.jpg.xmp", "new.jpg.xmp", "words.XMP",
     "page.html", "binary", "other.db", "folder"],
)  # fmt: skip
@pytest.mark.parametrize("command", ["index", "caption"])
def test_a_log_is_added_to_logs_alone(here: Path, run: Run, name: str, command: str) -> None:
    before = contents(here.parent)
    assert_refused(run(command, "red.jpg", "--log-file", name), before, here.parent, "log file")


@pytest.mark.parametrize("name", ["notes.txt", "new.log", "/dev/null"])
def test_a_log_may_be_text(run: Run, name: str) -> None:
    assert run("index", "red.jpg", "--log-file", name).exit_code == 0
    assert Path("notes.txt").read_text().startswith("mine\n")


@pytest.mark.skipif(
    WITHOUT_POSIX or not hasattr(os, "mkfifo"), reason="Windows has no pipes with names of files"
)
def test_a_pipe_that_nothing_reads_from_is_not_waited_for(run: Run) -> None:
    os.mkfifo("pipe")
    result = run("index", "red.jpg", "--log-file", "pipe")
    assert result.exit_code == 2
    assert "pipe cannot be written: no program is reading from this pipe." in result.stderr
    reading = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("index", "red.jpg", "--log-file", "pipe").exit_code == 0
        assert b"1 photo" in os.read(reading, 9999)
    finally:
        os.close(reading)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="files of processes")  # noqa: PTH110
def test_what_is_no_file_is_not_replaced(run: Run) -> None:
    run("index", "red.jpg")
    reading, writing = os.pipe()
    try:
        for name in (os.devnull, f"/dev/fd/{writing}"):
            for option in ("--output", "--backup"):
                result = run("export", "--force", option, name)
                assert result.exit_code == 2
                assert f"{name} is not a file." in result.stderr
    finally:
        os.close(reading)
        os.close(writing)


def test_a_dash_is_standard_output(run: Run) -> None:
    run("index", "red.jpg")
    assert run("export", "-o", "-").stdout == run("export").stdout != ""
    assert not Path("-").exists()


@pytest.mark.parametrize("ending", outputs.DATABASE_SUFFIXES)
@pytest.mark.parametrize("option", ["--log-file", "--output", "--backup"])
def test_the_database_is_no_output(here: Path, run: Run, ending: str, option: str) -> None:
    before = contents(here.parent)
    words = ["index", "red.jpg"] if option == "--log-file" else ["export", "--force"]
    for database, given in (
        (here.parent / "home/captioner.db", []),
        (here / "new.db", ["--db", "new.db"]),
    ):
        result = run(*words, *given, option, f"{database}{ending}")
        assert_refused(result, before, here.parent, "database")


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("option", ["--output", "--backup"])
@pytest.mark.parametrize(
    "name", ["red.jpg", "new.png", "link", "no_ending", "red.jpg.xmp", "folder", "broken", "."]
)
def test_an_export_is_never_a_photo_or_a_folder(
    here: Path, run: Run, name: str, option: str, force: list[str]
) -> None:
    before = contents(here.parent)
    assert_refused(run("export", option, name, *force), before, here.parent, "captioner: ")


def test_a_database_is_replaced_by_a_backup_alone(here: Path, run: Run) -> None:
    before = contents(here)
    assert_refused(
        run("export", "-f", "csv", "-o", "other.db", "--force"), before, here, "is a database"
    )
    assert run("export", "--backup", "other.db", "--force").exit_code == 0


def test_write_protection_is_respected(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match="is read-only"):
        outputs.check_file(Path("notes.txt"), "--output", force=True)


def test_a_long_name_is_no_hindrance(run: Run) -> None:
    name = "n" * 251 + ".csv"
    assert run("export", "--output", name).exit_code == 0
    assert Path(name).is_file()


def test_what_appears_meanwhile_is_kept() -> None:
    with (
        pytest.raises(UsageError, match="already exists"),
        outputs.replacing(Path("new.csv"), "--output", force=False) as temporary,
    ):
        temporary.write_text("ours")
        Path("new.csv").write_text("mine")
    assert Path("new.csv").read_text() == "mine"
    assert not list(Path().glob(".captioner*"))


def test_an_older_file_keeps_its_rights() -> None:
    Path("notes.txt").chmod(0o640)
    with outputs.replacing(Path("notes.txt"), "--output", force=True) as temporary:
        temporary.write_text("ours")
    assert Path("notes.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "name", ["red.jpg", "no_ending", "notes.txt", "page.html", "folder", "new.jpg", "/dev/null"]
)
@pytest.mark.parametrize(
    "words", [["index", "red.jpg"], ["edit", "red.jpg", "Rex"], ["watch", "."], ["search", "red"]]
)
def test_a_database_is_nothing_else(here: Path, run: Run, name: str, words: list[str]) -> None:
    before = contents(here.parent)
    result = run(*words, "--db", name)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert "captioner: " in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(here.parent) == before


def test_nor_is_one_that_the_environment_names(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(here.parent)
    for name in ("red.jpg", "no_ending", "new.jpg"):
        monkeypatch.setenv("CAPTIONER_DB", name)
        assert run("index", "red.jpg").exit_code in (1, 2)
        assert contents(here.parent) == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["evaluate", "--data", "notes.txt", "--html", "./notes.txt", "--force"], "both refer to"),
        (
            ["evaluate", "--data", "x", "--queries", "notes.txt", "--html", "notes.txt"],
            "both refer to",
        ),
        (["evaluate", "--data", "folder", "--html", "red.jpg", "--force"], "photo"),
        (["compare", "bundle", "--data", "folder", "--html", "notes.txt"], "--force"),
        (["evaluate", "--data", "folder", "--html", "notes.txt"], "--force"),
        (["evaluate", "--data", "folder", "--html", "folder/../folder"], "both refer to"),
        (["evaluate", "--data", "folder", "--html", "nowhere/page.html"], "cannot write"),
        (["export", "--output", "a.csv", "--backup", "A/../a.csv"], "both refer to"),
        (["train", "--data", "folder", "--out", "m", "--work", "./m"], "both refer to"),
        (["train", "--data", "folder", "--sentences", "notes.txt", "--work", "notes.txt"], "both"),
    ],
)
def test_one_file_has_one_meaning(here: Path, run: Run, words: list[str], reason: str) -> None:
    before = contents(here.parent)
    assert_refused(run(*words), before, here.parent, reason)
