"""`captioner forget`, and what `index` and `prune` do about folders and files that are gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import colour_describer
import pytest
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.index import Index

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `keep` and `old` in it, a photo of each colour in each."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("captioner.model.load", lambda *_, **__: colour_describer.ColourDescriber())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("keep", "old"):
        for colour in colour_describer.COLOURS:
            colour_describer.photo(Path(f"{name}/{colour}.jpg"), colour)
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(
        app, list(words), prog_name="captioner", **options
    )


def known(folder: Path) -> list[str]:
    """All photos that the index holds, as seen from the folder."""
    with Index.open(folder.parent / "home/captioner.db") as index:
        return [str(one.path.relative_to(folder)) for one in index.photos_at(folder)]


def roots(folder: Path) -> list[Path]:
    with Index.open(folder.parent / "home/captioner.db") as index:
        return index.roots()


def found(run: Run, query: str) -> list[str]:
    """Names of the folders with photos that a search finds."""
    result = run("search", "--exact", query)
    return sorted(Path(line.split("\t")[0]).parent.name for line in result.stdout.splitlines())


KEPT = ["keep/blue.jpg", "keep/green.jpg", "keep/red.jpg"]


class TestDeletedFolder:
    def test_is_missing_until_it_is_pruned_and_then_forgotten(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        result = run("index")
        assert result.exit_code == 0, result.stderr
        assert f"{folder}/old no longer exists." in result.stderr
        assert "with `captioner forget" in result.stderr
        assert "3 gone, 3 unchanged." in result.stderr
        assert "6 photos, 3 missing." in result.stderr
        assert found(run, "red") == ["keep"]
        refused = run("prune", "--yes")
        assert refused.exit_code == 1
        assert f"{folder}/old no longer exists, and 3 of its 3 photos are gone." in refused.stderr
        assert run("prune", "--yes", "--force").exit_code == 0
        assert known(folder) == KEPT
        assert roots(folder) == [folder / "keep"]
        again = run("index")
        assert (again.exit_code, "no longer exists" in again.stderr) == (0, False)

    def test_is_pruned_without_another_run(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        result = run("prune", "--yes", "--force")
        assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["gone"] * 3
        assert known(folder) == KEPT

    def test_is_an_error_where_it_is_named(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        result = run("index", "old")
        assert result.exit_code == 1
        assert "cannot read old: there is no such file or folder." in result.stderr
        assert "3 gone" in result.stderr

    def test_a_file_in_its_place_is_no_photo(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree(folder / "old")
        (folder / "old").write_text("no folder")
        result = run("index")
        assert f"{folder}/old is no longer a folder." in result.stderr
        assert (result.exit_code, "3 gone" in result.stderr) == (0, True)
        refused = run("prune", "--yes")
        assert f"{folder}/old is no longer a folder, and 3 of its 3 photos" in refused.stderr
        assert run("prune", "--yes", "--force").exit_code == 0
        assert known(folder) == KEPT
        assert (folder / "old").read_text() == "no folder"

    def test_a_preview_says_what_is_gone(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        result = run("index", "--dry-run")
        assert result.stdout.splitlines() == [
            f"gone\t{folder}/old/{colour}.jpg" for colour in ("blue", "green", "red")
        ]

    def test_a_broken_link_is_said_to_be_one(self, run: Run, folder: Path) -> None:
        Path("link").symlink_to("old")
        run("index", "keep", "link")
        shutil.rmtree("old")
        result = run("index")
        assert result.exit_code == 0
        assert f"{folder}/link cannot be indexed: it is a link to old, which does not exist." in (
            result.stderr
        )
        assert "gone" not in result.stderr

    def test_an_empty_one_keeps_its_photos(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        Path("old").mkdir()
        result = run("index")
        assert result.exit_code == 0
        assert f"{folder}/old is empty; 3 photos found there before are kept" in result.stderr
        run("prune", "--yes", "--force")
        assert len(known(folder)) == 6

    def test_one_that_may_not_be_read_is_not_said_to_be_empty(
        self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("index", "keep", "old")
        scandir = os.scandir

        def refusing(path: str | bytes | os.PathLike[str]) -> object:
            if os.path.basename(os.fsdecode(path)) == "old":  # noqa: PTH119
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refusing)
        result = run("index")
        assert (result.exit_code, "no permission" in result.stderr) == (1, True)
        assert "is empty" not in result.stderr + run("prune").stderr
        assert len(known(folder)) == 6


class TestNamedFiles:
    def test_one_that_was_deleted_is_missing(self, run: Run, folder: Path) -> None:
        named = "\n".join(KEPT).encode()
        run("index", "-", input=named)
        Path("keep/red.jpg").unlink()
        rest = b"\n".join(os.fsencode(name) for name in KEPT[:2])
        result = run("index", "-", input=rest)
        assert result.exit_code == 0, result.stderr
        assert "1 gone, 2 unchanged." in result.stderr
        assert found(run, "red") == []
        assert "Removed 1 photo" in run("prune", "--yes").stderr
        assert known(folder) == KEPT[:2]

    def test_without_arguments(self, run: Run, folder: Path) -> None:
        run("index", *KEPT)
        Path("keep/red.jpg").unlink()
        result = run("index")
        assert result.exit_code == 0, result.stderr
        assert "1 gone" in result.stderr

    def test_prune_alone(self, run: Run, folder: Path) -> None:
        run("index", *KEPT)
        Path("keep/red.jpg").unlink()
        assert "Removed 1 photo" in run("prune", "--yes").stderr
        assert known(folder) == KEPT[:2]


class TestLinksAndPipes:
    def test_in_a_folder_are_notes_and_no_failures(self, run: Run) -> None:
        Path("keep/link.jpg").symlink_to("gone.jpg")
        os.mkfifo("keep/pipe.jpg")
        for command in (("index", "keep"), ("index", "keep"), ("caption", "keep")):
            result = run(*command)
            assert result.exit_code == 0, result.stderr
            assert "Skipped keep/link.jpg: it is a link to gone.jpg, which does not exist." in (
                result.stderr
            )
            assert "Skipped keep/pipe.jpg: it is neither a file nor a folder." in result.stderr
        assert "Skipped" not in run("index", "keep", "--quiet").stderr

    def test_named_are_errors(self, run: Run) -> None:
        Path("link.jpg").symlink_to("gone.jpg")
        result = run("index", "link.jpg")
        assert result.exit_code == 1
        assert "cannot read link.jpg: it is a link to gone.jpg, which does not exist." in (
            result.stderr
        )

    def test_many_are_counted(self, run: Run) -> None:
        for number in range(30):
            Path(f"keep/{number}.jpg").symlink_to("gone.jpg")
        result = run("index", "keep")
        assert result.stderr.count("Skipped keep/") == 10
        assert "Skipped 20 more links or special files." in result.stderr


class TestIgnored:
    def test_is_out_of_results_removable_and_restored(self, run: Run, folder: Path) -> None:
        run("index", ".")
        Path(".captionerignore").write_text("old/\n")
        result = run("index", ".")
        assert "3 now ignored, 3 unchanged." in result.stderr
        assert "6 photos, 3 ignored." in result.stderr
        assert found(run, "red") == ["keep"]
        asked = run("prune")
        assert [line.split("\t")[1] for line in asked.stdout.splitlines()] == ["ignored"] * 3
        assert "3 photos (3 ignored) would be removed" in asked.stderr
        Path(".captionerignore").unlink()
        kept = run("prune", "--yes")
        assert "3 photos found again" in kept.stderr
        assert "3 reappeared, 3 unchanged." in run("index", ".").stderr
        assert found(run, "red") == ["keep", "old"]
        Path("old/.nomedia").touch()
        run("index", ".")
        assert "Removed 3 photos (3 ignored)" in run("prune", "--yes").stderr
        assert known(folder) == KEPT
        assert "Nothing new: 3 photos unchanged." in run("index", ".").stderr


class TestForget:
    def test_a_folder_that_is_there(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        asked = run("forget", "old")
        assert asked.exit_code == 2
        assert "3 photos and 1 folder would be removed, and there is no terminal" in asked.stderr
        assert len(known(folder)) == 6
        result = run("forget", "old/", "--yes")
        assert result.exit_code == 0, result.stderr
        assert result.stderr == "Removed 3 photos and 1 folder from the index.\n"
        assert known(folder) == KEPT
        assert roots(folder) == [folder / "keep"]
        assert len(list(Path("old").iterdir())) == 3
        assert "Nothing new: 3 photos unchanged." in run("index").stderr

    def test_a_folder_that_is_gone(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        shutil.rmtree("old")
        assert run("forget", "old", "--yes").exit_code == 0
        assert (known(folder), roots(folder)) == (KEPT, [folder / "keep"])

    def test_a_folder_above_roots(self, run: Run, folder: Path) -> None:
        run("index", "keep", "old")
        result = run("forget", "..", "--yes")
        assert result.stderr == "Removed 6 photos and 2 folders from the index.\n"
        assert roots(folder) == []

    def test_photos_come_again_with_their_folder(self, run: Run, folder: Path) -> None:
        run("index", ".")
        result = run("forget", "old/red.jpg", "--yes")
        assert "Removed 1 photo from the index." in result.stderr
        assert "1 photo will be indexed again with the folder" in result.stderr
        assert "old/red.jpg" not in known(folder)
        assert "1 photo indexed" in run("index").stderr

    def test_names_that_only_begin_alike_stay(self, run: Run, folder: Path) -> None:
        colour_describer.photo(Path("older/x.jpg"), "red")
        colour_describer.photo(Path("old.jpg"), "red")
        run("index", ".")
        run("forget", "old", "--yes")
        assert known(folder) == [*KEPT, "old.jpg", "older/x.jpg"]

    def test_words_of_a_person_are_shown(self, run: Run, folder: Path) -> None:
        run("index", ".")
        run("edit", "old/red.jpg", "Our red door.")
        result = run("forget", "old")
        assert "1 photo with a caption of yours:" in result.stderr
        assert f"{folder}/old/red.jpg: Our red door." in result.stderr
        assert "old/red.jpg" in known(folder)

    def test_paths_on_standard_input(self, run: Run, folder: Path) -> None:
        run("index", ".")
        assert run("forget", "-0", "-", "--yes", input=b"old\0keep/red.jpg\0").exit_code == 0
        assert known(folder) == KEPT[:2]

    def test_what_matches_nothing(self, run: Run, folder: Path) -> None:
        run("index", ".")
        nothing = run("forget", "elsewhere", "--yes")
        assert nothing.exit_code == 1
        assert "elsewhere is not in the index, and neither is anything below it." in nothing.stderr
        some = run("forget", "elsewhere", "old", "--yes")
        assert some.exit_code == 1
        assert "Removed 3 photos from the index." in some.stderr
        assert known(folder) == KEPT
