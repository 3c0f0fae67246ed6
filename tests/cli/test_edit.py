"""A person's words: kept, found, shown first, and never overwritten."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fake_descriptions import description, failure, photo
from processes import ROOT
from typer.testing import CliRunner, Result

from captioner import system
from captioner.cli.app import app
from captioner.index import CurrentCaption, Index

QUOTE = '"' if system.WINDOWS else "'"
"""Of the system's shell."""
DOG = Path("/photos/dog.jpg")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A dog and a cat, and a photo that failed."""
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store(
            [description("dog.jpg", "A dog runs."), description("cat.jpg", "A cat sits.")], "model"
        )
        index.store([failure("broken.jpg")], "model")
    return path


@pytest.fixture
def run(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("CAPTIONER_DB", str(database))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(app, ["edit", *words], **options)


class TestWords:
    def test_stand_before_the_models_everywhere(self, database: Path) -> None:
        with Index.open(database) as index:
            assert index.current_caption(DOG) == CurrentCaption("A dog runs.", by_person=False)
            index.set_caption(DOG, "Rex at the lake")
            assert index.current_caption(DOG) == CurrentCaption("Rex at the lake", by_person=True)
            [hit] = index.search("lake")
            assert (hit.path, hit.caption) == (str(DOG), "Rex at the lake")
            assert [hit.path for hit in index.search("rex", exact=True)] == [str(DOG)]
            assert [hit.caption for hit in index.search("running")] == ["Rex at the lake"]
            near = index.similar(np.array((1, 0), np.float16), "model")
            assert "Rex at the lake" in [hit.caption for hit in near]

    def test_are_not_overwritten_by_another_run(self, database: Path) -> None:
        with Index.open(database, write=True) as index:
            index.set_caption(DOG, "Rex")
            index.store([description("dog.jpg", "A brown dog.")], "another model")
            assert index.current_caption(DOG) == CurrentCaption("Rex", by_person=True)
            index.store([failure("dog.jpg")], "another model")
            assert [hit.caption for hit in index.search("rex")] == ["Rex"]

    def test_replace_earlier_ones_and_can_be_taken_back(self, database: Path) -> None:
        with Index.open(database) as index:
            index.set_caption(DOG, "Rex")
            index.set_caption(DOG, "Bello")
            assert not index.search("rex")
            assert [hit.caption for hit in index.search("bello")] == ["Bello"]
            index.set_caption(DOG, "")
            assert index.current_caption(DOG) == CurrentCaption("A dog runs.", by_person=False)
            assert not index.search("bello")
            assert [hit.caption for hit in index.search("runs", exact=True)] == ["A dog runs."]

    def test_help_where_the_model_failed(self, database: Path) -> None:
        broken = Path("/photos/broken.jpg")
        with Index.open(database) as index:
            assert index.current_caption(broken) == CurrentCaption("", by_person=False)
            index.set_caption(broken, "Grandmother, 1931")
            assert [hit.path for hit in index.search("grandmother")] == [str(broken)]
            index.set_caption(broken, "")
            assert not index.search("grandmother")

    def test_of_photos_that_are_not_known(self, database: Path) -> None:
        with Index.open(database) as index:
            assert index.current_caption(Path("/photos/other.jpg")) is None
            index.set_caption(Path("/photos/other.jpg"), "Nobody")
            assert index.current_caption(Path("/photos/other.jpg")) is None

    def test_are_one_line_of_text(self, database: Path) -> None:
        with Index.open(database) as index:
            index.set_caption(DOG, "  Rex,\n\n our\tdog \x1b[2J\0 👩‍👧 caf\udce9 ")
            assert index.current_caption(DOG) == CurrentCaption(
                "Rex, our dog [2J 👩‍👧 caf", by_person=True
            )

    def test_need_not_wait_for_a_run(self, database: Path) -> None:
        with Index.open(database, write=True) as running, Index.open(database) as index:
            running.store([description("new.jpg")], "model")
            index.set_caption(DOG, "Rex")
            running.store([description("newer.jpg")], "model")
            assert running.current_caption(DOG) == CurrentCaption("Rex", by_person=True)

    def test_leave_the_full_text_index_sound(self, database: Path) -> None:
        with Index.open(database) as index:
            for text in ("Rex", "Bello", "", "Rex"):
                index.set_caption(DOG, text)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("INSERT INTO texts_fts (texts_fts) VALUES ('integrity-check')")


class TestCommand:
    def test_says_what_is_shown_now(self, run: Callable[..., Result]) -> None:
        result = run(str(DOG), "Rex  at the\nlake")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "/photos/dog.jpg: Rex at the lake\n"
        assert run(str(DOG), "--remove").stderr == "/photos/dog.jpg: A dog runs.\n"
        assert run(str(DOG), "--remove").stderr == "/photos/dog.jpg has no caption of yours.\n"

    def test_paths_are_those_of_the_current_folder(
        self, run: Callable[..., Result], database: Path, tmp_path: Path
    ) -> None:
        name = os.fsdecode(b"caf\xe9.jpg")
        with Index.open(database, write=True) as index:
            index.store([description(photo(str(tmp_path / name)))], "model")
        result = run(f"./{name}", "Coffee")
        assert (result.exit_code, result.stderr) == (0, "./caf\\xe9.jpg: Coffee\n")

    def test_text_from_stdin(self, run: Callable[..., Result]) -> None:
        assert run(str(DOG), "-", input="Rex\nat the lake\n").stderr.endswith(": Rex at the lake\n")

    def test_unknown_photos(self, run: Callable[..., Result], tmp_path: Path) -> None:
        (tmp_path / "my photo.jpg").touch()
        result = run("my photo.jpg", "Rex")
        assert result.exit_code == 2
        assert result.stderr == (
            "captioner: my photo.jpg is not in the index.\n"
            f"Add it with: captioner index {QUOTE}my photo.jpg{QUOTE}\n"
        )
        assert "does not exist either" in run("nowhere.jpg", "Rex").stderr
        assert "is a folder" in run(".", "Rex").stderr

    @pytest.mark.parametrize("words", [["", "Rex"], [str(DOG), " "], [str(DOG), "x", "--remove"]])
    def test_wrong_use(self, run: Callable[..., Result], words: list[str]) -> None:
        result = run(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr

    def test_no_terminal_for_an_editor(self, run: Callable[..., Result]) -> None:
        result = run(str(DOG))
        assert result.exit_code == 2
        assert "no terminal" in result.stderr

    @pytest.mark.parametrize(
        ("does", "said"),
        [
            ("page = 'Rex at\\nthe lake' + page[page.index('\\n'):]", "Rex at the lake"),
            ("page = page.replace('# /photos', 'more')", "A dog runs."),
            ("import sys; sys.exit()", None),
            ("page = page[page.index('\\n'):]", None),
        ],
    )
    def test_an_editor(self, database: Path, tmp_path: Path, does: str, said: str | None) -> None:
        pty = pytest.importorskip("pty", reason="terminals are tested where there is pty")
        editor = tmp_path / "editor.py"
        editor.write_text(
            f"import os, pathlib, sys\nfile = pathlib.Path(sys.argv[1])\npage = file.read_text()\n"
            f"{does}\nfile.write_text(page)\nos.utime(file, (1, 1))\n"
        )
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "captioner", "edit", str(DOG), "--db", str(database)],
            stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "EDITOR": f"{sys.executable} {editor}"},
        )  # fmt: skip
        os.close(ours)
        os.close(theirs)
        with Index.open(database) as index:
            known = index.current_caption(DOG)
        if said:
            assert (done.returncode, done.stderr) == (0, f"/photos/dog.jpg: {said}\n")
            assert known == CurrentCaption(said, by_person=True)
        else:
            assert known == CurrentCaption("A dog runs.", by_person=False)
            assert "Not saved" in done.stderr or "the caption is empty" in done.stderr


class TestKeywords:
    def test_are_added_and_removed_with_or_without_a_caption(
        self, run: Callable[..., Result], database: Path
    ) -> None:
        result = run(str(DOG), "--add-keyword", "Rex", "--add-keyword", "Sylt")
        assert (result.exit_code, result.stderr) == (0, "/photos/dog.jpg: Rex, Sylt\n")
        result = run(str(DOG), "Rex at the lake", "--remove-keyword", "sylt")
        assert result.exit_code == 0
        with Index.open(database) as index:
            stored = index.stored_caption(DOG)
        assert stored
        assert (stored.text, stored.edited_keywords) == ("Rex at the lake", ("Rex",))
        assert "has no keywords" in run(str(DOG), "--remove-keyword", "rex").stderr

    def test_are_not_empty(self, run: Callable[..., Result]) -> None:
        result = run(str(DOG), "--add-keyword", " ")
        assert result.exit_code == 2
        assert "the keyword is empty" in result.stderr
