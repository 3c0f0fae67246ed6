"""What commands print of names and texts that hold anything: safe to look at, valid, and exact."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import colour_describer
import fake_descriptions
import pictures
import pytest
from typer.testing import CliRunner, Result

from captioner.cli import console
from captioner.cli.app import COMMANDS, app
from captioner.errors import CaptionerWarning
from captioner.filenames import spelled
from captioner.index import Index
from captioner.types import Facts

EVIL = "x\x1b[2J\x1b]0;t\x07\x9b31m\u202egpj\u2028\x7fy"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
NOT_UTF_8 = os.fsdecode(b"bad\xff.jpg")
Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CAPTIONER_DB", "CAPTIONER_MODEL", "CAPTIONER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def evil(tmp_path: Path, home: Path) -> Path:
    """A photo whose name, metadata and words in the index hold control sequences."""
    path = tmp_path / f"{EVIL}\n.jpg"
    exif = pictures.exif_block({0x010E: EVIL, 0x0110: EVIL})
    path.write_bytes(pictures.jpeg_with(exif=exif, xmp=pictures.packet()))
    found = path.stat()
    described = fake_descriptions.description(str(path), f"A {EVIL}.", keywords=[EVIL, "dog"])
    photo = replace_photo(described.photo, path, found)
    described = replace(described, photo=photo, facts=Facts(camera=EVIL, caption=EVIL))
    with Index.open(home / "captioner.db", write=True) as index:
        index.store([described], "model")
        index.store([fake_descriptions.failure("broken.jpg", f"it is {EVIL}.")], "model")
        index.set_caption(path, f"Rex {EVIL}")
    return path


def replace_photo(photo: object, path: Path, found: os.stat_result) -> object:
    return type(photo)(path, found.st_size, found.st_mtime_ns)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    "words",
    [
        ["show", "PHOTO"],
        ["show", "--json", "PHOTO"],
        ["stats"],
        ["stats", "--json"],
        ["export"],
        ["export", "-f", "json"],
        ["search", "rex"],
        ["search", "--exact", "--json", "rex"],
        ["write", "--dry-run", "PHOTO"],
        ["edit", "PHOTO", f"Rex {EVIL} again"],
        ["edit", f"{EVIL}.jpg", "Rex"],
        ["caption", f"{EVIL}.jpg"],
        ["caption", f"{EVIL}.jpg", "--json"],
        ["index", f"{EVIL}.jpg"],
        ["undo", f"{EVIL}.jpg"],
        ["prune", "--dry-run"],
        ["evaluate", f"{EVIL}"],
        ["compare", f"{EVIL}", f"{EVIL}="],
        ["info", "--db", f"{EVIL}"],
    ],
    ids=lambda words: " ".join(map(ascii, words)),
)
def test_no_control_characters(
    evil: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], terminal: bool
) -> None:
    if terminal:
        monkeypatch.setattr(console, "stdout_is_terminal", lambda: True)
    result = run(*(str(evil) if word == "PHOTO" else word for word in words))
    assert not CONTROL.search(result.output), ascii(result.output)
    assert result.output


def test_csv_in_a_terminal(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from captioner.cli.export import _write_csv

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with Index.open(evil.parent / "home/captioner.db") as index:
        shown, exact = Terminal(), io.StringIO()
        _write_csv(shown, index.records())
        _write_csv(exact, index.records())
    assert not CONTROL.search(shown.getvalue())
    assert str(evil) in exact.getvalue()


def test_lines_keep_their_columns_and_names_of_any_bytes(capfdbinary: object) -> None:
    console.prepare()
    console.line("a\tb\nc", NOT_UTF_8, "ü\x85")
    assert capfdbinary.readouterr().out == b"a\\tb\\nc\tbad\xff.jpg\t\xc3\xbc\\x85\n"


def test_a_terminal_gets_no_bytes_that_are_not_text(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "stdout_is_terminal", lambda: True)
    console.line(NOT_UTF_8)
    assert capfd.readouterr().out == "bad\\xff.jpg\n"


def test_messages_and_the_log_stay_on_their_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    console.configure_output(log_file=tmp_path / "log")
    console.note(f"{EVIL}\n")
    console.warning(EVIL)
    console.error(EVIL, NOT_UTF_8)
    console.configure_output()
    error, log = capfd.readouterr().err, (tmp_path / "log").read_text("utf-8")
    assert not CONTROL.search(error + log)
    assert (error.count("\n"), log.count("\n")) == (4, 3)
    assert "bad\\xff.jpg" in log


def test_warnings_of_the_library_are_messages(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        console.prepare()
        warnings.warn(f"{EVIL} is odd.", CaptionerWarning, stacklevel=1)
        error = capfd.readouterr().err
    assert error.startswith("captioner: x\\x1b[2J")
    assert error.endswith("is odd.\n")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jpg", ("a.jpg", None)),
        ("ü🐕.jpg", ("ü🐕.jpg", None)),
        (b"\xc3\xbc.jpg", ("ü.jpg", None)),
        (b"bad\xff.jpg", ("bad\\xff.jpg", "YmFk/y5qcGc=")),
        (NOT_UTF_8, ("bad\\xff.jpg", "YmFk/y5qcGc=")),
    ],
)
def test_paths_in_json(path: str | bytes, expected: tuple[str, str | None]) -> None:
    assert spelled(path) == expected


def test_json_is_valid_unicode_and_exact() -> None:
    record = {
        "path": NOT_UTF_8,
        "caption": f"ü {EVIL}\t\n",
        "error": f"cannot read {NOT_UTF_8}.",
        "reasons": [{"example": NOT_UTF_8, "photos": 2}],
        "score": None,
    }
    text = console.json_text(record)
    text.encode("utf-8")
    assert not CONTROL.search(text)
    assert "ü" in text
    assert json.loads(text) == {
        "path": "bad\\xff.jpg",
        "path_bytes": base64.b64encode(b"bad\xff.jpg").decode(),
        "caption": f"ü {EVIL}\t\n",
        "error": "cannot read bad\\xff.jpg.",
        "reasons": [{"example": "bad\\xff.jpg", "example_bytes": "YmFk/y5qcGc=", "photos": 2}],
        "score": None,
    }


def test_search_gives_the_bytes_of_a_name(tmp_path: Path, home: Path) -> None:
    path = tmp_path / NOT_UTF_8
    with Index.open(home / "captioner.db", write=True) as index:
        index.store([fake_descriptions.description(str(path), "A dog runs.")], "model")
    [record] = map(json.loads, run("search", "--exact", "--json", "dog").stdout.splitlines())
    assert base64.b64decode(record["path_bytes"]) == os.fsencode(path)
    exact = run("search", "--exact", "-0", "dog").stdout_bytes
    assert exact == os.fsencode(path) + b"\0"


def test_keywords_are_printed_once(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "captioner.model.load",
        lambda options: colour_describer.ColourDescriber(min_confidence=options.min_confidence),
    )
    colour_describer.photo(tmp_path / "red.jpg", "red")
    trusted = run("caption", "--keywords", "5", str(tmp_path)).stdout.rstrip("\n").split("\t")
    assert len(trusted) == 3
    keywords = trusted[2]
    unsure = run("caption", "--keywords", "5", "--min-confidence", "1", str(tmp_path)).stdout
    assert unsure == f"{tmp_path}/red.jpg\t{keywords}\t\n"


@pytest.mark.parametrize("name", ["x.xlsx", "x.txt", "x.csv.gz"])
def test_export_refuses_formats_that_it_does_not_write(
    tmp_path: Path, evil: Path, name: str
) -> None:
    result = run("export", "-o", str(tmp_path / name))
    assert result.exit_code == 2
    assert ".csv, .parquet" in result.stderr
    assert not (tmp_path / name).exists()
    assert run("export", "-o", str(tmp_path / name), "-f", "csv").exit_code == 0


def test_export_to_json_is_one_list(tmp_path: Path, evil: Path) -> None:
    assert run("export", "-o", str(tmp_path / "x.json")).exit_code == 0
    records = json.loads((tmp_path / "x.json").read_text("utf-8"))
    lines = run("export").stdout.splitlines()
    assert records == [json.loads(line) for line in lines]
    assert len(records) == 2


def test_export_of_an_empty_index_to_json(home: Path) -> None:
    with Index.open(home / "captioner.db", write=True):
        pass
    assert json.loads(run("export", "-f", "json").stdout) == []


def test_in_place_requires_write(tmp_path: Path, home: Path) -> None:
    result = run("index", "--in-place", str(tmp_path))
    assert result.exit_code == 2
    assert "--in-place requires --write." in result.stderr
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    "text", ["-5 degrees", "--hot and dry", "-5", "- a list", "-h is for help", "--db is a word"]
)
@pytest.mark.parametrize("where", ["before", "after", "none"])
def test_edit_takes_text_that_begins_with_a_dash(
    tmp_path: Path, evil: Path, home: Path, text: str, where: str
) -> None:
    database = ["--db", str(home / "captioner.db")]
    options = {"before": (database, []), "after": ([], database), "none": ([], [])}[where]
    result = run("edit", *options[0], str(evil), text, *options[1])
    assert result.exit_code == 0, result.output
    with Index.open(home / "captioner.db") as index:
        said = index.current_caption(evil)
    assert said is not None
    assert said.text == text


@pytest.mark.parametrize("mistake", ["--remvoe", "-r", "-remove"])
def test_edit_does_not_take_a_mistyped_option_for_a_text(evil: Path, mistake: str) -> None:
    result = run("edit", str(evil), mistake)
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_info_has_no_dictionaries(home: Path) -> None:
    output = run("info").stdout
    assert "{" not in output
    assert "'" not in output
    assert re.search(r"^      name flickr8k, .*photos \(train 6,000, ", output, re.MULTILINE)


def test_no_summary_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = run("--help").stdout
    commands = output[output.index("Commands:") :]
    assert "..." not in commands
    assert all(len(line) <= 80 for line in commands.splitlines())
    assert all(re.search(rf"^  {name} +[A-Z]", commands, re.MULTILINE) for name in COMMANDS)
