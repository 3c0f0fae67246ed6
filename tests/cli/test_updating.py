"""`captioner index`, `watch` and `prune`: what they say and do. The model is a fake."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer

import colour_describer
import pytest
from processes import ROOT
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.index import Index, mounts
from captioner.model.options import DescribeOptions
from captioner.types import BundleIds

Run = Callable[..., Result]


class Another(colour_describer.ColourDescriber):
    """Another model with the same encoder."""

    model_id = "another"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three photos, current; the database is beside it."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("captioner.model.load", lambda *_, **__: colour_describer.ColourDescriber())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for colour in colour_describer.COLOURS:
        colour_describer.photo(Path(f"{colour}.jpg"), colour)
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(
        app, list(words), prog_name="captioner", **options
    )


def without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("captioner.model.load")


class TestIndex:
    def test_the_model_knows_how_many_photos_there_are(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loads: list[DescribeOptions] = []

        def load(options: DescribeOptions, **_: object) -> colour_describer.ColourDescriber:
            loads.append(options)
            return colour_describer.ColourDescriber()

        monkeypatch.setattr("captioner.model.load", load)
        assert run("index", ".").exit_code == 0
        colour_describer.photo(Path("another.jpg"), "red")
        assert run("index", ".").exit_code == 0
        assert [each.photos for each in loads] == [3, 1]

    def test_moves_copies_and_losses_are_told(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("index", ".")
        without_model(monkeypatch)
        Path("red.jpg").rename("rouge.jpg")
        shutil.copy("blue.jpg", "copy.jpg")
        Path("green.jpg").unlink()
        result = run("index", ".")
        assert result.exit_code == 0, result.stderr
        assert "No photos indexed, 1 moved, 1 copy of another, 1 gone, 1 unchanged." in (
            result.stderr
        )
        assert "4 photos, 1 missing." in result.stderr

    def test_without_folders_those_of_before(self, run: Run, folder: Path) -> None:
        first = run("index")
        assert first.exit_code == 2
        assert "none was indexed before" in first.stderr
        run("index", ".")
        colour_describer.photo(folder / "new.jpg", "red")
        assert "1 photo indexed" in run("index").stderr

    def test_a_dry_run_tells_all_and_does_nothing(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = folder.parent / "home/captioner.db"
        (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
        run("index", ".")
        without_model(monkeypatch)
        before = database.read_bytes()
        Path("red.jpg").rename("rouge.jpg")
        shutil.copy("blue.jpg", "copy.jpg")
        Path("green.jpg").unlink()
        colour_describer.photo(folder / "new.jpg", "red")
        shutil.copy("new.jpg", "new copy.jpg")
        colour_describer.photo(folder / "blue.jpg", "green")
        result = run("index", ".", "--dry-run", "--retry-failed")
        assert result.exit_code == 0, result.stderr
        assert set(result.stdout.splitlines()) == {
            "changed\t./blue.jpg",
            "failed before\t./broken.jpg",
            "copied\t./copy.jpg\t./blue.jpg",
            "new\t./new copy.jpg",
            "copied\t./new.jpg",
            "moved\t./rouge.jpg\t./red.jpg",
            "gone\t./green.jpg",
        }
        assert "7 photos to update, 0 unchanged. Nothing was written." in result.stderr
        assert database.read_bytes() == before

    def test_a_dry_run_needs_no_index(self, run: Run, folder: Path) -> None:
        result = run("index", ".", "--dry-run")
        assert result.stdout == "new\t./blue.jpg\nnew\t./green.jpg\nnew\t./red.jpg\n"
        assert not (folder.parent / "home").exists()

    def test_what_is_excluded_is_neither_previewed_nor_indexed(self, run: Run) -> None:
        colour_describer.photo(Path(".hidden.jpg"), "red")
        left_out = ("index", ".", "--exclude", "b*")
        assert run(*left_out, "--dry-run").stdout.splitlines() == [
            "new\t./green.jpg",
            "new\t./red.jpg",
        ]
        assert "holds 2 photos." in run(*left_out).stderr
        assert "holds 4 photos." in run("index", ".", "--include-hidden").stderr
        # It is there still, so it does not count as gone.
        assert "gone" not in run(*left_out).stderr

    def test_recaption(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run("index", ".")
        monkeypatch.setattr("captioner.model.load", lambda *_, **__: Another())
        weights = BundleIds(Another.model_id, Another.encoder_id)
        monkeypatch.setattr("captioner.model.weights", lambda _: weights)
        dry = run("index", "--recaption", "--dry-run")
        assert "3 photos would be recaptioned without being opened." in dry.stderr
        result = run("index", "--recaption")
        assert "3 recaptioned" in result.stderr
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert index.model_ids() == ["another"]

    def test_a_network_drive_is_warned_of(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = folder.parent / "mounts"
        table.write_text(f"/dev/sda1 / ext4 rw 0 0\nnas:/x {folder.parent} nfs4 rw 0 0\n")
        monkeypatch.setattr(mounts, "TABLE", table)
        result = run("index", ".")
        assert result.exit_code == 0
        assert "is on a network drive (nfs4)" in result.stderr


class TestPrune:
    def test_shows_asks_and_removes(self, run: Run, folder: Path) -> None:
        run("index", ".")
        Path("red.jpg").unlink()
        assert run("prune").stderr == "No photo is missing or ignored.\n"
        run("index", ".")
        asked = run("prune")
        assert asked.exit_code == 2
        assert "no terminal to confirm on" in asked.stderr
        path, reason, since, caption = asked.stdout.rstrip("\n").split("\t")
        assert (path, reason, caption) == (str(folder / "red.jpg"), "gone", "A red photo.")
        assert since.startswith("20")
        done = run("prune", "--yes")
        assert (done.exit_code, done.stderr) == (0, "Removed 1 photo from the index.\n")
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert index.counts().photos == 2
            assert [hit.caption for hit in index.search("red", exact=True)] == []

    def test_refuses_where_too_much_is_gone(self, run: Run, folder: Path) -> None:
        run("index", ".")
        Path("red.jpg").unlink()
        Path("blue.jpg").unlink()
        run("index", ".")
        refused = run("prune", "--yes")
        assert refused.exit_code == 1
        assert f"2 of the 3 photos below {folder} are gone." in refused.stderr
        Path("green.jpg").unlink()
        assert f"{folder} is empty." in run("prune", "--yes").stderr
        assert "Removed 2 photos from the index." in run("prune", "--yes", "--force").stderr

    def test_refuses_where_the_folder_is_away(self, run: Run, folder: Path) -> None:
        run("index", ".")
        Path("red.jpg").unlink()
        run("index", ".")
        os.chdir("..")
        folder.rename(folder.with_name("unplugged"))
        refused = run("prune", "--yes")
        assert refused.exit_code == 1
        assert f"{folder} no longer exists, and 3 of its 3 photos are gone." in refused.stderr

    def test_what_is_there_again_is_left_alone(self, run: Run, folder: Path) -> None:
        run("index", ".")
        Path("red.jpg").rename("../red.jpg")
        run("index", ".")
        Path("../red.jpg").rename("red.jpg")
        assert "1 photo found again" in run("prune", "--yes").stderr
        run("index", ".")
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert (index.counts().photos, index.counts().missing) == (3, 0)

    def test_only_below_a_folder(self, run: Run, folder: Path) -> None:
        for name in "abc":
            colour_describer.photo(folder / f"album/{name}.jpg", "red")
        run("index", ".")
        Path("red.jpg").unlink()
        Path("album/a.jpg").unlink()
        run("index", ".")
        assert "Removed 1 photo from the index." in run("prune", "album", "--yes").stderr
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert [one.path.name for one in index.missing_photos()] == ["red.jpg"]


SLOW = """
import sys, time
import captioner.model
from colour_describer import ColourDescriber
from captioner.cli import main

class Slow(ColourDescriber):
    def describe(self, *batch):
        print("describing", flush=True)
        time.sleep(0.3)
        return super().describe(*batch)

captioner.model.load = lambda *_, **__: Slow()
main(sys.argv[1:])
"""


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:  # or a test that fails would wait for what never ends
            child.kill()


def described(folder: Path) -> int:
    with Index.open(folder.parent / "home/captioner.db") as index:
        return index.counts().described


class TestCtrlC:
    @pytest.fixture(autouse=True)
    def many(self, folder: Path) -> None:
        for number in range(60):
            colour_describer.photo(folder / f"{number}.jpg", "red")

    def test_the_first_finishes_what_is_in_hand(self, folder: Path) -> None:
        with process("index", ".") as child:
            assert child.stdout
            assert child.stdout.readline() == "describing\n"
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=300)
        assert child.returncode == 130
        done = described(folder)
        assert 4 <= done < 63
        assert "Finishing the current photos. Press Ctrl-C again to stop at once." in said
        assert f"{done} photos indexed in " in said
        assert "Stopped: run the same command again to continue." in said
        assert "Traceback" not in said

    def test_the_second_stops_at_once(self, folder: Path) -> None:
        with process("index", ".") as child:
            assert child.stdout
            assert child.stdout.readline() == "describing\n"
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "describing\n"
            child.send_signal(signal.SIGINT)
            out, said = child.communicate(timeout=300)
        assert child.returncode == 130
        assert out == ""  # no further batch was begun
        assert described(folder) == 4
        assert "4 photos indexed; run the same command again to continue." in said
        assert "Traceback" not in said


class TestWatch:
    def test_what_happens_is_followed_until_ctrl_c(self, folder: Path) -> None:
        def wait(*expected: int) -> None:
            found: tuple[int, int] | Exception | None = None
            for _ in range(1200):
                try:
                    with Index.open(folder.parent / "home/captioner.db") as index:
                        counts = index.counts()
                    found = (counts.photos, counts.missing)
                except Exception as error:  # not made yet, or being made
                    found = error
                if found == expected:
                    return
                time.sleep(0.1)
            raise AssertionError(f"not {expected}, but {found!r}")

        with process("watch", str(folder), "--settle", "0.2") as child:
            wait(3, 0)
            time.sleep(0.5)
            colour_describer.photo(folder / "deeper/new.jpg", "red")
            wait(4, 0)
            (folder / "red.jpg").rename(folder / "deeper/rouge.jpg")
            (folder / "blue.jpg").unlink()
            wait(4, 1)
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=300)
        assert child.returncode == 0, said
        assert "1 moved" in said
        assert "Stopped watching." in said

    def test_a_folder_that_goes_and_comes_back_and_one_behind_a_link(self, folder: Path) -> None:
        away, elsewhere = folder.with_name("away"), folder.with_name("elsewhere")
        elsewhere.mkdir()
        (folder / "link").symlink_to(elsewhere)
        said: list[str] = []
        with process("watch", str(folder), "--settle", "0.2") as child:
            late = Timer(120, child.kill)  # or a test that fails would wait for ever
            late.daemon = True
            late.start()

            def heard(words: str) -> str:
                assert child.stderr
                for line in child.stderr:
                    said.append(line)
                    if words in line:
                        return line
                raise AssertionError(f"never said: {words}, but {said}")

            assert f"Watching {folder} (2 folders in all)." in heard("Watching")
            heard("3 photos indexed")
            colour_describer.photo(elsewhere / "new.jpg", "red")
            assert re.match(r"\d\d:\d\d:\d\d ", heard("1 photo indexed"))
            folder.rename(away)
            heard(f"{folder} no longer exists: waiting for it to come back.")
            heard("4 gone.")
            away.rename(folder)
            heard(f"{folder} is back: watching it again.")
            heard("4 reappeared")
            child.send_signal(signal.SIGINT)
            heard("Stopped watching.")
            late.cancel()
        with Index.open(folder.parent / "home/captioner.db") as index:
            assert (index.counts().photos, index.counts().missing) == (4, 0)

    def test_a_database_that_is_held_and_one_that_is_deleted(self, folder: Path) -> None:
        database = folder.parent / "home/captioner.db"
        other = folder.with_name("other")
        colour_describer.photo(other / "new.jpg", "red")
        with process("watch", str(folder), str(other), "--settle", "0.2") as child:
            late = Timer(120, child.kill)
            late.daemon = True
            late.start()

            said: list[str] = []

            def heard(words: str) -> None:
                assert child.stderr
                for line in child.stderr:
                    said.append(line)
                    if words in line:
                        return
                raise AssertionError(f"never said: {words}, but {said}")

            heard("4 photos indexed")
            with closing(sqlite3.connect(database, isolation_level=None)) as another:
                another.execute("BEGIN IMMEDIATE")
                colour_describer.photo(folder / "more.jpg", "blue")
                heard("is locked by another program.")
                heard("Trying again every")
                another.rollback()
            colour_describer.photo(folder / "and more.jpg", "blue")  # or it would try again later
            heard("2 photos indexed")
            for file in database.parent.glob("captioner.db*"):
                file.unlink()
            colour_describer.photo(folder / "again.jpg", "blue")
            heard("indexed in")
            child.send_signal(signal.SIGINT)
            heard("Stopped watching.")
            late.cancel()
        with Index.open(database) as index:
            assert index.counts().photos == 7

    def test_only_folders(self, run: Run) -> None:
        result = run("watch", "red.jpg")
        assert result.exit_code == 2
        assert "red.jpg is not a folder" in result.stderr
