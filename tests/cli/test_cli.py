"""The commands: what they print where, and how they end. The model is a fake, all else is real."""

from __future__ import annotations

import base64
import io
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import colour_describer
import fake_descriptions
import pytest
import typer
from processes import ROOT
from typer.testing import CliRunner, Result

from captioner.cli import app as roof
from captioner.cli import console
from captioner.cli.app import COMMANDS, app
from captioner.cli.paths import InputPaths
from captioner.errors import CaptionerError, UsageError
from captioner.index import Index
from captioner.model.options import DescribeOptions
from captioner.types import Description

Run = Callable[..., Result]
Loads = list[DescribeOptions]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three photos to stand in, and a home of one's own."""
    for name in ("CAPTIONER_DB", "CAPTIONER_MODEL", "CAPTIONER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    colour_describer.photo(Path("red.jpg"), "red")
    colour_describer.photo(Path("album/blue.jpg"), "blue")
    colour_describer.photo(Path("album/green.JPG"), "green")
    return tmp_path / "here"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Put the fake model in place; the options of each load are appended to what is returned."""
    made: Loads = []

    def load(options: DescribeOptions) -> colour_describer.ColourDescriber:
        made.append(options)
        return colour_describer.ColourDescriber(
            alternatives=options.alternatives, min_confidence=options.min_confidence
        )

    monkeypatch.setattr("captioner.model.load", load)
    monkeypatch.setattr(
        "captioner.model.query.load_planner",
        lambda bundle=None: (colour_describer.MODEL_ID, colour_describer.rank_colours),
    )
    return made


@pytest.fixture
def run(loads: Loads) -> Run:
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(
        app, list(words), prog_name="captioner", **options
    )


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


class TestCaption:
    def test_one_photo_is_one_sentence(self, run: Run) -> None:
        result = run("caption", "red.jpg")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "A red photo.\n", "")

    def test_folders_are_a_line_a_photo(self, run: Run) -> None:
        result = run("caption", "album", "red.jpg")
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            "album/blue.jpg\tA blue photo.",
            "album/green.JPG\tA green photo.",
            "red.jpg\tA red photo.",
        ]

    def test_keywords_and_alternatives(self, run: Run, loads: Loads) -> None:
        result = run("caption", "red.jpg", "--keywords", "2", "--alternatives", "2")
        assert result.stdout.splitlines() == [
            "A red photo.\tred, green",
            "A green photo.\tred, green",
        ]
        assert loads[0].alternatives == 2

    def test_options_reach_the_model(self, run: Run, loads: Loads) -> None:
        run(
            *("caption", "red.jpg", "--beams", "7", "--batch-size", "3", "--model", "bundle"),
            *("--device", "cpu", "--precision", "float32"),
        )
        assert loads == [
            DescribeOptions(
                bundle=Path("bundle"),
                device="cpu",
                precision="float32",
                batch_size=3,
                photos=1,
                beam_width=7,
                alternatives=1,
                keywords=8,
                min_confidence=None,
            )
        ]

    def test_a_model_for_few_photos_knows_how_many(self, run: Run, loads: Loads) -> None:
        assert run("caption", "missing.jpg", "red.jpg").exit_code == 1
        assert run("caption", "album", "red.jpg").exit_code == 0
        for number in range(2):
            colour_describer.photo(Path(f"album/{number}.jpg"), "red")
        many = run("caption", "album", "red.jpg")
        assert many.exit_code == 0
        assert len(many.stdout.splitlines()) == 5
        assert run("caption", "-", input="red.jpg\n").exit_code == 0
        assert [each.photos for each in loads] == [1, 3, None, None]

    def test_json(self, run: Run) -> None:
        [record] = objects(run("caption", "--json", "red.jpg", "--alternatives", "2"))
        assert record["path"] == "red.jpg"
        assert (record["caption"], record["kind"]) == ("A red photo.", "sentence")
        assert record["confidence"] == pytest.approx(220 / 260, abs=0.02)
        assert [keyword["word"] for keyword in record["keywords"]] == ["red", "green"]
        assert [other["caption"] for other in record["alternatives"]] == ["A green photo."]

    def test_unlikely_sentences_give_way_to_keywords(self, run: Run) -> None:
        assert run("caption", "red.jpg", "--min-confidence", "0.99").stdout == "red, green\n"
        [record] = objects(run("caption", "red.jpg", "--min-confidence", "0.99", "--json"))
        assert (record["caption"], record["kind"]) == ("red, green", "keywords")
        assert record["confidence"] is None
        both = run("caption", "red.jpg", "--min-confidence", "0.5", "--alternatives", "2")
        assert both.stdout == "A red photo.\n"

    def test_failures_do_not_stop_the_rest(self, run: Run, folder: Path) -> None:
        (folder / "album/broken.jpg").write_bytes(b"")
        result = run("caption", "album", "missing.jpg", "red.jpg")
        assert result.exit_code == 1
        assert len(result.stdout.splitlines()) == 3
        [broken, missing, closing] = result.stderr.splitlines()
        assert broken.startswith("captioner: cannot read album/broken.jpg: it is empty.")
        assert missing.startswith("captioner: cannot read missing.jpg: ")
        assert closing == "2 photos of 5 could not be read."

    def test_failures_in_json(self, run: Run) -> None:
        result = run("caption", "--json", "missing.jpg", "red.jpg")
        assert result.exit_code == 1
        [missing, red] = objects(result)
        assert missing.keys() == {"path", "error"}
        assert missing["path"] == "missing.jpg"
        assert red["caption"] == "A red photo."

    def test_no_model_is_loaded_where_there_is_nothing_to_describe(
        self, run: Run, loads: Loads, folder: Path
    ) -> None:
        (folder / "empty").mkdir()
        result = run("caption", "empty")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No photos found.\n")
        assert run("caption", "missing.jpg").exit_code == 1
        assert not loads

    def test_paths_from_stdin(self, run: Run) -> None:
        result = run("caption", "-", input="red.jpg\n\n./album/blue.jpg")
        assert result.stdout.splitlines() == [
            "red.jpg\tA red photo.",
            "./album/blue.jpg\tA blue photo.",
        ]

    def test_paths_from_stdin_that_end_with_nul(self, run: Run, folder: Path) -> None:
        colour_describer.photo(folder / "two\nlines.jpg", "blue")
        result = run("caption", "-0", "--json", "-", input="two\nlines.jpg\0red.jpg\0")
        assert [record["path"] for record in objects(result)] == ["two\nlines.jpg", "red.jpg"]
        forgotten = run("caption", "-", input="two\nlines.jpg\0red.jpg\0")
        assert forgotten.exit_code == 2
        assert "Add -0." in forgotten.stderr

    def test_paths_are_printed_as_given(self, run: Run, folder: Path) -> None:
        below = [f"{folder}/{name}" for name in ("album/blue.jpg", "album/green.JPG", "red.jpg")]
        for given, printed in (
            (["./red.jpg", "./album/"], ["./red.jpg", "./album/blue.jpg", "./album/green.JPG"]),
            ([".//album/../red.jpg", "./red.jpg"], [".//album/../red.jpg"]),
            ([str(folder)], below),
        ):
            lines = run("caption", *given, "--keywords", "8").stdout.splitlines()
            assert [line.partition("\t")[0] for line in lines] == printed

    def test_what_is_left_out(self, run: Run, folder: Path) -> None:
        colour_describer.photo(folder / "album/.hidden.jpg", "blue")
        (folder / "album/.captionerignore").write_text("green*\n")
        for options, printed in (
            ([], "blue.jpg"),
            (["--exclude", "b*.jpg"], ""),
            (["--exclude", "b*.jpg", "--exclude", "!green.*"], "green.JPG"),
            (["--include-hidden"], ".hidden.jpg blue.jpg"),
        ):
            lines = run("caption", "album", "--keywords", "8", *options).stdout.splitlines()
            names = [Path(line.partition("\t")[0]).name for line in lines]
            assert names == printed.split()
        wrong = run("caption", ".", "--exclude", "!")
        assert wrong.exit_code == 2
        assert "Patterns are written as in .gitignore." in wrong.stderr

    def test_names_of_any_bytes(self, run: Run, folder: Path) -> None:
        name = b"caf\xe9 \xf0\x9f\x90\x95.jpg"
        colour_describer.photo(folder / os.fsdecode(name), "blue")
        lines = run("caption", ".").stdout_bytes.split(b"\n")
        assert b"./" + name + b"\tA blue photo." in lines
        output = run("caption", "--json", ".")
        output.stdout_bytes.decode("utf-8")
        exact = {r["path"]: r.get("path_bytes") for r in objects(output)}
        assert base64.b64decode(exact["./caf\\xe9 🐕.jpg"] or "") == b"./" + name
        assert list(exact.values()).count(None) == len(exact) - 1

    def test_a_folder_called_dash(self, run: Run, folder: Path) -> None:
        colour_describer.photo(folder / "-/-n.jpg", "red")
        assert run("caption", "./-").stdout == "./-/-n.jpg\tA red photo.\n"
        assert run("caption", "--", "-/-n.jpg").stdout == "A red photo.\n"


class TestIndexAndSearch:
    def test_only_what_is_new_or_changed(self, run: Run, loads: Loads, folder: Path) -> None:
        first = run("index", ".")
        assert (first.exit_code, first.stdout) == (0, "")
        assert "3 photos" in first.stderr
        assert len(loads) == 1
        again = run("index", ".")
        assert again.exit_code == 0
        assert "Nothing new" in again.stderr
        assert len(loads) == 1
        colour_describer.photo(folder / "new.jpg", "green")
        assert "1 photo" in run("index", ".").stderr
        assert len(loads) == 2

    def test_failures_are_named_counted_and_not_tried_again(
        self, run: Run, loads: Loads, folder: Path
    ) -> None:
        (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
        first = run("index", ".")
        assert first.exit_code == 1
        assert "cannot read ./broken.jpg: " in first.stderr
        second = run("index", ".")
        assert (second.exit_code, len(loads)) == (0, 1)

    def test_interrupted_runs_keep_what_they_have(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(6):
            colour_describer.photo(folder / f"many/{number}.jpg", "red")
        batches = iter([colour_describer.ColourDescriber.describe])

        def describe(self: colour_describer.ColourDescriber, *batch: Any) -> list[Description]:
            try:
                return next(batches)(self, *batch)
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr(colour_describer.ColourDescriber, "describe", describe)
        first = run("index", "many")
        assert first.exit_code == 130
        assert "4 photos indexed; run the same command again to continue.\nInter" in first.stderr
        monkeypatch.undo()
        monkeypatch.setenv("CAPTIONER_HOME", str(folder.parent / "home"))
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert index.counts().described == 4

    def test_search_by_what_the_model_saw(self, run: Run, folder: Path) -> None:
        run("index", ".")
        first = run("search", "blue", "--limit", "1")
        path, caption, score = first.stdout.rstrip("\n").split("\t")
        assert (path, caption) == (str(folder / "album/blue.jpg"), "A blue photo.")
        assert 0 < float(score) <= 1
        [hit] = objects(run("search", "blue", "-n", "1", "--json"))
        assert hit.keys() >= {"path", "caption", "kind", "score", "source", "matched", "copies"}
        assert (hit["path"], hit["kind"]) == (path, "sentence")

    def test_exact_search_needs_no_model(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("index", ".")
        monkeypatch.delattr("captioner.model.query.load_planner")
        result = run("search", "--exact", "red", "photo")
        assert result.stdout.startswith(f"{folder / 'red.jpg'}\tA red photo.\t")

    def test_nothing_found(self, run: Run) -> None:
        run("index", ".")
        result = run("search", "--exact", "zebra")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "Nothing found for: zebra" in result.stderr
        assert "--exact" in result.stderr

    def test_no_index_yet(self, run: Run) -> None:
        result = run("search", "dog")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "captioner index" in result.stderr

    def test_a_database_of_ones_own(self, run: Run, folder: Path) -> None:
        run("index", "red.jpg", "--db", "mine.db")
        assert (folder / "mine.db").is_file()
        assert "red.jpg" in run("search", "red", "--db", "mine.db").stdout

    def test_similar_takes_the_index_where_it_can(
        self, run: Run, loads: Loads, folder: Path
    ) -> None:
        colour_describer.photo(folder / "album/crimson.jpg", "red")
        run("index", ".")
        loads.clear()
        result = run("similar", "red.jpg", "-n", "1")
        assert result.stdout.startswith(f"{folder / 'album/crimson.jpg'}\tA red photo.\t")
        assert not loads
        (folder / "red.jpg").unlink()
        assert run("similar", "red.jpg", "-n", "1").stdout == result.stdout
        assert not loads

    def test_similar_looks_at_photos_it_does_not_know(
        self, run: Run, loads: Loads, folder: Path
    ) -> None:
        run("index", "album")
        loads.clear()
        other = colour_describer.photo(folder / "elsewhere.jpg", "green")
        [hit, _] = objects(run("similar", str(other), "--json"))
        assert hit["path"] == str(folder / "album/green.JPG")
        assert len(loads) == 1
        # What has changed since is another photo.
        colour_describer.photo(folder / "album/green.JPG", "blue")
        os.utime(folder / "album/green.JPG", ns=(1, 1))
        [hit] = objects(run("similar", "album/green.JPG", "--json"))
        assert hit["path"] == str(folder / "album/blue.jpg")

    def test_words_and_a_photo_together(self, run: Run, loads: Loads, folder: Path) -> None:
        """All captions have the word "photo"; the example decides between them."""
        run("index", ".")
        loads.clear()
        for colour in ("red", "green"):
            example = colour_describer.photo(folder.parent / f"{colour} example.jpg", colour)
            first, *_ = objects(run("search", "photo", "--like", str(example), "--json"))
            assert first["caption"] == f"A {colour} photo."
        assert len(loads) == 2
        loads.clear()
        found = objects(run("search", "photo", "--like", "red.jpg", "--json"))
        assert not loads
        assert str(folder / "red.jpg") not in [hit["path"] for hit in found]
        # A person's words still come first, whatever the photo looks like.
        run("edit", "album/blue.jpg", "The old photo album")
        [first, *_] = objects(run("search", "album photo", "--like", "red.jpg", "--json"))
        assert first["path"] == str(folder / "album/blue.jpg")

    def test_a_photo_to_compare_with_needs_words_and_must_be_readable(
        self, run: Run, folder: Path
    ) -> None:
        run("index", ".")
        refused = run("search", "--like", "red.jpg")
        assert refused.exit_code == 2
        assert "captioner similar" in refused.stderr
        assert run("search", "photo", "--exact", "--like", "red.jpg").exit_code == 2
        assert run("search", "photo", "--like", "album").exit_code == 2
        unreadable = run("search", "photo", "--like", "missing.jpg", "--json")
        assert unreadable.exit_code == 1
        assert "cannot read missing.jpg" in unreadable.stderr
        assert objects(unreadable)[0]["path"] == "missing.jpg"

    def test_similar_to_what_cannot_be_read(self, run: Run, folder: Path) -> None:
        run("index", ".")
        result = run("similar", "missing.jpg", "--json")
        assert result.exit_code == 1
        assert objects(result)[0]["path"] == "missing.jpg"
        assert "cannot read missing.jpg" in result.stderr
        assert run("similar", "album").exit_code == 2


class TestWrongUse:
    @pytest.mark.parametrize(
        "words",
        [
            ["caption"],
            ["caption", ""],
            ["caption", "red.jpg", "-0"],
            ["caption", "red.jpg", "--beams", "0"],
            ["caption", "red.jpg", "--device", "abacus"],
            ["caption", "red.jpg", "--nonsense"],
            ["search", "  "],
            ["nonsense"],
            [],
        ],
    )
    def test_exit_code_2_and_nothing_on_stdout(self, run: Run, words: list[str]) -> None:
        run("index", ".")
        result = run(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr

    def test_a_slip_is_met_with_a_suggestion(self, run: Run) -> None:
        assert "Did you mean 'search'" in run("serach", "dog").stderr


class TestHowThingsEnd:
    @pytest.fixture
    def failing(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[BaseException], Result]:
        def fail(error: BaseException) -> Result:
            def load(*_: object, **__: object) -> None:
                raise error

            monkeypatch.setattr("captioner.model.load", load)
            return run("caption", "red.jpg")

        return fail

    def test_errors_for_people(self, failing: Callable[[BaseException], Result]) -> None:
        result = failing(CaptionerError("the model is damaged.", "Reinstall it."))
        assert result.exit_code == 1
        assert result.stderr == "captioner: the model is damaged.\nReinstall it.\n"
        assert failing(UsageError("not like this.")).exit_code == 2

    def test_faults_show_no_traceback_unless_asked(
        self, failing: Callable[[BaseException], Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = failing(ZeroDivisionError("division by zero"))
        assert result.exit_code == 1
        assert "ZeroDivisionError: division by zero" in result.stderr
        assert "CAPTIONER_DEBUG=1" in result.stderr
        assert "Traceback" not in result.stderr
        monkeypatch.setenv("CAPTIONER_DEBUG", "1")
        assert "Traceback" in failing(ZeroDivisionError("division by zero")).stderr

    @pytest.mark.parametrize(
        "error", [MemoryError(), RuntimeError("Exception from core.cpp:117:\nstd::bad_alloc\n")]
    )
    def test_a_lack_of_memory(
        self, failing: Callable[[BaseException], Result], error: Exception
    ) -> None:
        assert failing(error).stderr.startswith("captioner: not enough memory.\n")

    def test_interrupted(self, failing: Callable[[BaseException], Result]) -> None:
        result = failing(KeyboardInterrupt())
        assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def process(*words: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "captioner", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


class TestAsAProcess:
    @pytest.fixture(autouse=True)
    def _index(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        with Index.open(folder.parent / "home/captioner.db", write=True) as index:
            # More than fits into a pipe.
            photos = [
                fake_descriptions.description(f"{number}.jpg", "A dog.") for number in range(5000)
            ]
            index.store(photos, "model")

    def test_a_reader_that_has_seen_enough(self) -> None:
        search = process("search", "--exact", "dog", "-n", "5000", stdout=subprocess.PIPE)
        assert search.stdout
        assert search.stderr
        assert search.stdout.readline().startswith("/photos/0.jpg\tA dog.")
        search.stdout.close()
        assert search.stderr.read() == ""
        assert search.wait() == 0

    @pytest.mark.parametrize(("closed", "status", "out"), [(">&-", 0, ""), ("2>&-", 2, "")])
    def test_closed_streams(self, closed: str, status: int, out: str) -> None:
        query = "dog" if status == 0 else '""'
        command = f"exec {sys.executable} -m captioner search --exact {query} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (status, out, "")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_behind_stdout(self) -> None:
        with Path("/dev/full").open("w") as full:
            search = process("search", "--exact", "dog", stdout=full)
            _, said = search.communicate()
        assert search.returncode == 1
        assert "No space left on device" in said
        assert "Traceback" not in said
        assert "Exception ignored" not in said

    def test_a_terminal_is_laid_out_stdout_is_terminal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pty = pytest.importorskip("pty", reason="terminals are tested where there is pty")
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)
        ours, theirs = pty.openpty()
        search = process("search", "--exact", "dog", "-n", "1", stdout=theirs)
        os.close(theirs)
        search.communicate()
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        assert "file:///photos/0.jpg" in shown
        assert "\n      A dog." in shown.replace("\r", "")


class TestInputPaths:
    def test_stdin_is_read_piece_by_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Trickle(io.BytesIO):
            def read1(self, size: int | None = -1, /) -> bytes:
                return super().read1(3)

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Trickle(b"one\ntwo words\n\nthree")))
        assert list(InputPaths(["zero", "-", "last"])) == [
            Path(name) for name in ("zero", "one", "two words", "three", "last")
        ]

    @pytest.mark.parametrize(
        ("words", "path", "spelled"),
        [
            (["a.jpg"], "a.jpg", "a.jpg"),
            (["./a.jpg"], "a.jpg", "./a.jpg"),
            (["."], "a.jpg", "./a.jpg"),
            (["./b/"], "b/c/a.jpg", "./b/c/a.jpg"),
            (["b//c", "d"], "b/c/a.jpg", "b//c/a.jpg"),
            (["b//c", "d"], "d/a.jpg", "d/a.jpg"),
        ],
    )
    def test_spelling(self, words: list[str], path: str, spelled: str) -> None:
        given = InputPaths(words)
        list(given)
        assert given.spelled(Path(path)) == spelled


class TestConsole:
    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("plain name.jpg", "plain name.jpg"),
            ("日本\u3000犬 🐕‍🦺.jpg", "日本\u3000犬 🐕‍🦺.jpg"),
            ("a\x1b[2Jb\n.jpg", "a\\x1b[2Jb\\n.jpg"),
            ("gpj.\u202eexe", "gpj.\\u202eexe"),
            (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ],
    )
    def test_paths_are_safe_to_look_at(self, path: str, shown: str) -> None:
        assert console.shown(path) == shown


def parameters() -> Iterator[Any]:
    group: Any = typer.main.get_command(app)
    context = group.make_context("captioner", [], resilient_parsing=True)
    for name in COMMANDS:
        command = group.get_command(context, name)
        yield pytest.param(command.help, id=name)
        for parameter in command.params:
            yield pytest.param(parameter.help, id=f"{name} {parameter.opts[-1]}")


@pytest.mark.parametrize("text", parameters())
def test_everything_has_a_sentence_of_help(text: str | None) -> None:
    assert text
    assert text[0].isupper() or text[0] == "-"
    assert "." in text


def test_the_reference_is_what_help_says() -> None:
    script = runpy.run_path(str(ROOT / "docs/make_commands.py"))
    # Word for word; where lines break depends on Typer's version.
    assert script["PAGE"].read_text("utf-8").split() == script["page"]().split(), script["__doc__"]


def test_one_module_a_command() -> None:
    modules = [name.replace("-", "_") for name in COMMANDS]
    assert all((Path(roof.__file__).parent / f"{name}.py").is_file() for name in modules)
