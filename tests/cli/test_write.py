"""`captioner write`, `undo` and `index --write`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colour_describer
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.metadata.packet import read_packet
from captioner.metadata.reading import read_photo
from captioner.model.options import DescribeOptions

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands in a folder of two indexed photos."""
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAPTIONER_DB", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    colour_describer.photo(Path("red.jpg"), "red")
    colour_describer.photo(Path("album/blue.jpg"), "blue")
    loads: list[DescribeOptions] = []

    def load(options: DescribeOptions) -> colour_describer.ColourDescriber:
        loads.append(options)
        return colour_describer.ColourDescriber()

    monkeypatch.setattr("captioner.model.load", load)
    runner = CliRunner()

    def run(*words: str) -> Result:
        loads.clear()
        result = runner.invoke(app, list(words), prog_name="captioner")
        result.loads = len(loads)  # type: ignore[attr-defined]
        return result

    assert run("index", ".").exit_code == 0
    return run


def caption(path: str) -> list[str]:
    return [text.text for text in read_photo(Path(path).read_bytes()).texts]


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_sidecars_by_default(run: Run) -> None:
    before = Path("red.jpg").read_bytes()
    result = run("write", ".", "--keywords", "2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-1] == "2 photos: 2 written to sidecars."
    assert Path("red.jpg").read_bytes() == before
    content = read_packet(Path("red.jpg.xmp").read_bytes())
    assert {text.text for text in content.texts} == {"A red photo."}
    assert len(content.texts) == 2  # the other one is what immich looks at first
    assert content.keywords == ("red", "green")
    assert content.mark.model == colour_describer.MODEL_ID
    assert run("write", ".").stderr.splitlines()[-1] == "2 photos: 2 already written."


def test_in_place_and_undo(run: Run) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*.jpg")}
    assert run("write", "--in-place", "--field", "both", "--no-sync").exit_code == 0
    assert caption("red.jpg") == ["A red photo."]
    assert not list(Path().rglob("*.xmp"))
    assert Image.open("red.jpg").getpixel((3, 3)) == Image.open("red.jpg").getpixel((4, 4))
    again = run("index", ".")
    assert again.loads == 0, "what captioner wrote itself is nothing new"
    assert run("undo").exit_code == 0
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert run("index", ".").loads == 0
    assert run("undo").stderr == "0 files restored.\n"


def test_index_write(run: Run) -> None:
    colour_describer.photo(Path("green.jpg"), "green")
    result = run("index", ".", "--write")
    assert result.exit_code == 0
    assert "3 written to sidecars." in result.stderr
    assert run("index", ".", "--write", "--in-place").exit_code == 0
    assert caption("green.jpg") == ["A green photo."]


def test_a_quiet_run_names_what_was_not_written(run: Run) -> None:
    Path("red.jpg.xmp").write_text("no packet")
    Path("album/blue.jpg.xmp").mkdir()
    result = run("index", ".", "--write", "--quiet")
    assert result.exit_code == 1
    sidecar, blue, red = result.stderr.splitlines()
    assert sidecar == "captioner: cannot read ./red.jpg.xmp: it is not XMP."
    assert blue.startswith("captioner: cannot write ./album/blue.jpg: its sidecar cannot be read")
    assert red.startswith("captioner: skipped ./red.jpg: red.jpg.xmp may contain a caption by a")
    assert Path("red.jpg.xmp").read_text() == "no packet"


def test_a_photo_keeps_its_undo_when_index_has_moved_it(run: Run) -> None:
    before = Path("red.jpg").read_bytes()
    run("write", "--in-place")
    Path("red.jpg").rename("album/rouge.jpg")
    assert "1 moved" in run("index", ".").stderr
    run("edit", "album/rouge.jpg", "Rouge")
    assert "2 files restored." in run("undo").stderr
    assert Path("album/rouge.jpg").read_bytes() == before
    assert "Nothing new: 2 photos unchanged." in run("index", ".").stderr


def test_a_dry_run_changes_nothing(run: Run) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*.jpg")}
    result = run("write", ".", "--dry-run")
    assert result.stdout.splitlines() == [
        "./album/blue.jpg.xmp\t\tA blue photo.",
        "./red.jpg.xmp\t\tA red photo.",
    ]
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_undo_finds_moved_files(run: Run) -> None:
    before = Path("red.jpg").read_bytes()
    run("write", "--in-place", "red.jpg")
    Path("moved").mkdir()
    Path("red.jpg").rename("moved/rot.jpg")
    assert "1 photo not found at the recorded path" in run("undo").stderr
    assert run("undo", "moved").exit_code == 0
    assert Path("moved/rot.jpg").read_bytes() == before


@pytest.mark.parametrize("how", ["--in-place", "--sidecar"])
def test_undo_follows_the_index_to_moved_files(run: Run, how: str) -> None:
    before = Path("red.jpg").read_bytes()
    run("write", how, "red.jpg")
    Path("moved").mkdir()
    for path in Path().glob("red.*"):
        path.rename(f"moved/rot.{path.name.partition('.')[2]}")
    run("index", ".")
    assert run("undo").stderr == "1 file restored.\n"
    assert {p: p.read_bytes() for p in Path("moved").iterdir()} == {Path("moved/rot.jpg"): before}
    assert run("undo").stderr == "0 files restored.\n"


def test_a_changed_photo_is_not_restored(run: Run) -> None:
    run("write", "--in-place", "red.jpg")
    changed = Path("red.jpg").read_bytes() + b"\0"
    Path("red.jpg").write_bytes(changed)
    result = run("undo", "red.jpg", "--json")
    assert result.exit_code == 1
    assert objects(result)[0]["error"].startswith("it was changed after captioner")
    assert Path("red.jpg").read_bytes() == changed


def test_photos_that_are_new_or_changed_since(run: Run) -> None:
    colour_describer.photo(Path("new.jpg"), "green")
    os.utime("red.jpg", (1, 1))
    result = run("write", ".", "--json")
    states = {record["path"]: record["state"] for record in objects(result)}
    assert states == {
        "./album/blue.jpg": "written",
        "./new.jpg": "unknown",
        "./red.jpg": "changed",
    }
    assert "1 not in the index" in result.stderr
    assert "1 changed since indexing" in result.stderr


@pytest.mark.parametrize("command", ["write", "undo"])
def test_a_path_that_does_not_exist(run: Run, command: str) -> None:
    result = run(command, "--json", "none.jpg")
    assert result.exit_code == 1
    assert [record["path"] for record in objects(result)] == ["none.jpg"]
    assert "captioner: cannot read none.jpg:" in result.stderr


def test_captions_of_low_confidence_are_skipped(run: Run) -> None:
    assert "2 skipped: confidence too low" in run("write", ".", "--min-confidence", "0.99").stderr
    assert not list(Path().rglob("*.xmp"))


def test_a_photo_that_cannot_be_written_gets_a_sidecar_and_a_reason(run: Run) -> None:
    Image.new("RGB", (16, 16), (0, 0, 200)).save("blue.bmp")
    os.link("red.jpg", "twin.jpg")
    run("index", ".")
    result = run("write", "--in-place", "blue.bmp", "red.jpg", "--json")
    assert [r["not_in_place"] for r in objects(result)] == ["format", "hard_linked"]
    assert "blue.bmp: written to a sidecar, since captioner does not write into" in result.stderr
    assert Path("blue.bmp.xmp").exists() and Path("red.jpg.xmp").exists()


def test_nothing_is_written_without_an_index(run: Run) -> None:
    result = run("write", ".", "--db", "none.db")
    assert result.exit_code == 2
    assert "there is no index at none.db" in result.stderr
    assert not Path("none.db").exists()
    assert not Path("red.jpg.xmp").exists()


def test_show_lists_captions_with_their_authors(run: Run) -> None:
    run("write", "red.jpg", "--keywords", "1")
    Path("red.xmp").write_bytes(
        Path("red.jpg.xmp").read_bytes().replace(b"A red photo.", b"My red photo.")
    )
    lines = [tuple(line.split("\t")) for line in run("show", "red.jpg").stdout.splitlines()]
    ours = f"captioner's ({colour_describer.MODEL_ID})"
    assert ("caption", "red.jpg.xmp", "XMP dc:description", ours, "A red photo.") in lines
    assert ("caption", "red.xmp", "XMP dc:description", "a person's", "My red photo.") in lines
    assert ("caption", "index", "", ours, "A red photo.") in lines
    assert ("keywords", "red.jpg.xmp", "", ours, "red") in lines
    said = objects(run("show", "red.jpg", "--json"))
    assert [(record["what"], record["text"]) for record in said] == [
        (what, text) for what, _, _, _, text in lines
    ]
    assert run("show", "none.jpg").exit_code == 1


def test_show_lays_out_stdout_is_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("write", "red.jpg")
    monkeypatch.setattr("captioner.cli.console.stdout_is_terminal", lambda: True)
    head, captions, *_ = run("show", "red.jpg").stdout.replace("├", "┡").split("┡")
    assert head.index("red.jpg.xmp") < head.index("index")
    assert captions.count("A red photo.") == 3  # the sidecar says it twice


def test_hidden_photos_that_were_indexed_are_written_and_restored(run: Run) -> None:
    colour_describer.photo(Path(".hidden/green.jpg"), "green")
    colour_describer.photo(Path(".hidden/unknown.jpg"), "red")
    run("index", ".hidden/green.jpg")
    result = run("write", ".")
    assert "3 photos: 3 written to sidecars." in result.stderr
    assert Path(".hidden/green.jpg.xmp").is_file()
    assert "3 files restored." in run("undo", ".").stderr
    assert not Path(".hidden/green.jpg.xmp").exists()


def test_keywords_next_to_a_human_authored_caption_are_captioners(run: Run) -> None:
    run("edit", "red.jpg", "Rex")
    run("write", "red.jpg", "--keywords", "2")
    said = [line.split("\t") for line in run("show", "red.jpg").stdout.splitlines()]
    whose = {(about, where): by for about, where, _, by, _ in said}
    assert whose["caption", "red.jpg.xmp"] == "a person's"
    assert whose["keywords", "red.jpg.xmp"] == "captioner's"


LONG = f"{'n' * 248}.jpg"


def test_a_name_too_long_for_a_sidecar_does_not_end_a_run(run: Run) -> None:
    Path("red.jpg").rename(LONG)
    before = Path(LONG).read_bytes()
    assert run("index", ".").exit_code == 0
    for words in (["write", "."], ["write", ".", "--dry-run"], ["index", ".", "--write"]):
        result = run(*words)
        assert result.exit_code == 1
        (line,) = [line for line in result.stderr.splitlines() if "cannot write" in line]
        assert line.endswith("give the photo a shorter name, or use --in-place.")
        assert "1 could not be written" in result.stderr
    assert Path("album/blue.jpg.xmp").is_file()
    Image.open(LONG).resize((40, 30)).save(LONG.replace(".jpg", ".gif"))
    assert run("index", ".").exit_code == 0
    result = run("write", "--in-place", LONG.replace(".jpg", ".gif"))
    assert "The photo itself: captioner does not write into files of this format." in result.stderr
    assert run("write", "--in-place", LONG).exit_code == 0
    assert caption(LONG) == ["A red photo."]
    assert run("show", LONG).exit_code == 0
    assert "2 files restored." in run("undo").stderr
    assert Path(LONG).read_bytes() == before
    assert not Path("album/blue.jpg.xmp").exists()


def test_states_of_a_dry_run(run: Run) -> None:
    def states(*words: str) -> list[str]:
        return [told["state"] for told in objects(run(*words, "--json"))]

    assert states("write", ".", "--dry-run") == ["would_write", "would_write"]
    assert states("write", "red.jpg") == ["written"]
    assert states("write", ".", "--dry-run") == ["would_write", "same"]
    assert states("undo", "--dry-run") == ["would_undo"]
    assert Path("red.jpg.xmp").is_file()
    assert states("undo") == ["undone"]


def test_unreadable_metadata_is_named(run: Run) -> None:
    packet = Path("red.jpg.xmp")
    packet.write_text("<x:xmpmeta><dc:description>Anna & Rex</dc:description>")
    (told,) = objects(run("write", "red.jpg", "--json"))
    assert (told["state"], told["before"]) == ("skipped", "Anna & Rex")
    assert told["unread"] == "red.jpg.xmp"
    assert told["unread_because"].startswith("its XMP is not well-formed")
    result = run("write", "red.jpg")
    assert result.exit_code == 0
    assert "red.jpg.xmp may contain a caption by a person (Anna & Rex)" in result.stderr
    shown = run("show", "red.jpg")
    assert "a person's\tAnna & Rex" in shown.stdout
    assert "cannot read part of red.jpg.xmp" in shown.stderr


@pytest.mark.parametrize("where", ["--sidecar", "--in-place"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_an_edit_replaces_what_was_written(run: Run, where: str, suffix: str) -> None:
    name = f"photo.{suffix}"
    target = name if where == "--in-place" else f"{name}.xmp"
    Image.open("red.jpg").save(name)
    before = Path(name).read_bytes()
    run("index", ".")

    def said() -> set[str]:
        data = Path(target).read_bytes()
        read = read_packet if target.endswith(".xmp") else read_photo
        return {text.text for text in read(data).texts}

    def state(*words: str) -> str:
        (told,) = objects(run("write", where, "--json", name, *words))
        return str(told["state"])

    assert state() == "written"
    run("edit", name, "Rex")
    assert state() == "kept"
    assert state("--existing", "replace") == "written"
    assert said() == {"Rex"}
    assert state() == "same"
    run("edit", name, "Rex and Emma")
    assert state() == "kept"
    result = run("write", where, name)
    assert "earlier caption" in result.stderr
    assert said() == {"Rex"}
    assert state("--existing", "replace") == "written"
    assert said() == {"Rex and Emma"}
    run("edit", name, "--remove")
    assert state() == "skipped"
    assert state("--existing", "replace") == "written"
    assert said() == {"A red photo."}
    run("edit", name, "Emma")
    assert state("--existing", "replace") == "written"
    assert run("undo").exit_code == 0
    assert Path(name).read_bytes() == before
    assert not Path(f"{name}.xmp").exists()


@pytest.mark.parametrize("where", ["--sidecar", "--in-place"])
def test_an_edit_written_with_another_index_is_human_authored(
    run: Run, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("edit", "red.jpg", "Rex")
    run("write", where, "red.jpg")
    monkeypatch.setenv("CAPTIONER_DB", "other.db")
    run("index", ".")
    run("edit", "red.jpg", "--remove")
    (told,) = objects(run("write", where, "red.jpg", "--existing", "replace", "--json"))
    assert (told["state"], told["before"]) == ("skipped", "Rex")
    assert run("undo", "red.jpg").exit_code == 0
    assert "Rex" in run("show", "red.jpg").stdout
    run("edit", "red.jpg", "Rex and Emma")
    (told,) = objects(run("write", where, "red.jpg", "--existing", "replace", "--json"))
    assert (told["state"], told["after"]) == ("written", "Rex and Emma")


def test_an_edit_changed_by_others_stays(run: Run) -> None:
    run("edit", "red.jpg", "Rex")
    run("write", "red.jpg")
    sidecar = Path("red.jpg.xmp")
    sidecar.write_bytes(sidecar.read_bytes().replace(b">Rex<", b">Rex, our beagle<"))
    run("edit", "red.jpg", "Rex and Emma")
    (told,) = objects(run("write", "red.jpg", "--existing", "replace", "--json"))
    assert (told["state"], told["before"]) == ("skipped", "Rex, our beagle")


def test_an_edit_of_a_photo_that_cannot_be_written_in_place(run: Run) -> None:
    """If only the sidecar can be written, the same applies as without --in-place."""
    Image.open("red.jpg").save("photo.gif")
    run("index", ".")
    run("edit", "photo.gif", "Rex")
    (told,) = objects(run("write", "--in-place", "--json", "photo.gif"))
    assert (told["state"], told["not_in_place"]) == ("written", "format")
    run("edit", "photo.gif", "--remove")
    (told,) = objects(run("write", "--in-place", "--json", "photo.gif", "--existing", "replace"))
    assert told["state"] == "written"
    said = {text.text for text in read_packet(Path("photo.gif.xmp").read_bytes()).texts}
    assert said == {"A red photo."}


def test_undo_ignores_a_sidecar_that_links_to_itself(run: Run) -> None:
    run("index", ".")
    Path("red.jpg.xmp").symlink_to("red.jpg.xmp")
    assert run("undo").exit_code == 0
    assert run("undo", "red.jpg").exit_code == 0


def test_removing_an_edit_says_that_it_is_still_in_the_file(run: Run) -> None:
    run("edit", "red.jpg", "Rex")
    assert "still there" not in run("edit", "red.jpg", "--remove").stderr
    run("edit", "red.jpg", "Rex")
    run("write", "red.jpg")
    assert "`captioner write --existing replace`" in run("edit", "red.jpg", "--remove").stderr
    assert "still there" not in run("edit", "album/blue.jpg", "Blau").stderr


def test_undo_without_paths_requires_an_index(run: Run) -> None:
    result = run("undo", "--db", "none.db")
    assert result.exit_code == 2
    assert "there is no index at none.db" in result.stderr
    assert not Path("none.db").exists()


def test_a_folder_is_not_shown(run: Run) -> None:
    result = run("show", "album")
    assert result.exit_code == 2
    assert "album is a folder" in result.stderr
