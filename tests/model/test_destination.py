"""Output folders of bundles and training: no existing file is ever lost."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from captioner.cli.app import app
from captioner.errors import CaptionerError, UsageError
from captioner.model import bundle as bundles
from captioner.model import destination
from captioner.model.bundle import Bundle
from captioner.training.outputs import Outputs

Tree = dict[str, tuple[str, bytes]]
"""Relative paths: what each is, and its content or where it leads."""


def tree(folder: Path) -> Tree:
    found: Tree = {}
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = "link", os.fsencode(path.readlink())
            elif path.is_dir():
                found[key] = "folder", b""
            else:
                found[key] = "file", path.read_bytes()
    return found


def write(folder: Path, number: int = 1, *, force: bool = False) -> Bundle:
    """A small bundle, each number another."""
    arrays = {"a.safetensors": {"x": np.full((2,), number, np.float32)}}
    texts = {"words.json": ["a", "dog"], "LICENSE.txt": "None.\n"}
    return bundles.write(folder, {"describe": {}}, arrays=arrays, texts=texts, force=force)


NAMES = st.sampled_from(
    ["a.jpg", "notes.txt", "bundle.json", "words.json", "a.safetensors", "Images", "options.json",
     ".hidden", "old", "ä", ".DS_Store"]
)  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"{}", b'{"format": 2, "files": {}}', b'{"format": 2}',
                     b'{"format": 2, "files": {"a.jpg": "00"}}']),
)  # fmt: skip
ENTRIES = st.recursive(
    st.one_of(CONTENTS, st.sampled_from([".", "nowhere", "../beside"])),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TREES = st.dictionaries(NAMES, ENTRIES, max_size=5)


def grow(folder: Path, entries: object) -> None:
    if folder.is_file():
        folder.unlink()
    if isinstance(entries, dict):
        folder.mkdir(exist_ok=True)
        for name, inner in entries.items():
            grow(folder / name, inner)
    elif isinstance(entries, bytes):
        folder.write_bytes(entries)
    else:
        folder.symlink_to(str(entries))


@example({".DS_Store": {"a.jpg": b""}}, True, True, False, "out", None)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    entries=TREES,
    bundle=st.booleans(),
    force=st.booleans(),
    resume=st.booleans(),
    spelling=st.sampled_from(["out", "./out", "x/../out", "out/", "link", "beside/../out", "."]),
    work=st.sampled_from([None, "out", "out/w", "work", "beside", "nowhere/deep"]),
)
def test_no_existing_file_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    entries: dict[str, object],
    bundle: bool,
    force: bool,
    resume: bool,
    spelling: str,
    work: str | None,
) -> None:
    root = tmp_path_factory.mktemp("root", numbered=True)
    out = root / "out"
    ours = set()
    if bundle:
        write(out)
        ours = {name for name in tree(out) if name not in entries}
    grow(out, entries)
    (root / "beside").mkdir()
    (root / "beside" / "diary.txt").write_text("mine")
    (root / "link").symlink_to("out")
    before = tree(root)
    target = Path(f"{root}/{spelling}")
    outputs = Outputs.of(target, root / work if work else None, force=force, resume=resume)
    try:
        outputs.check({"--data": root / "beside"}, cache=root / "cache")
        assert tree(root) == before  # a check leaves no files
        write(target, 2, force=force)
        written = True
    except UsageError as error:
        assert tree(root) == before
        assert error.remedy
        written = False
    after = tree(root)
    replaced = {f"out/{name}" for name in ours} if force else set()
    # Only what an earlier bundle says is its own may be another one's now, or be gone.
    assert {name: one for name, one in after.items() if name in before and one != before[name]} == (
        {name: after[name] for name in replaced if name in after and after[name] != before[name]}
    )
    system = {"out/.DS_Store"} if force and bundle else set()
    assert before.keys() - after.keys() <= replaced | system
    if written and spelling != ".":
        # Resolved: `x/../out` leads nowhere while there is no `x`.
        assert Bundle.open(target.resolve()).arrays("a.safetensors")["x"][0] == 2
        assert not [name for name in after if ".bundle-" in name or name.endswith(".old")]
    shutil.rmtree(root)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


class TestBundles:
    def test_an_empty_folder_is_filled_in_place(self, here: Path) -> None:
        before = here.stat().st_ino
        here.chmod(0o750)
        write(Path())
        assert (here.stat().st_ino, stat.S_IMODE(here.stat().st_mode)) == (before, 0o750)
        assert sorted(path.name for path in here.iterdir()) == [
            "LICENSE.txt", "a.safetensors", "bundle.json", "words.json"
        ]  # fmt: skip
        assert Bundle.open(here).json("words.json") == ["a", "dog"]

    def test_a_link_to_a_folder_stays_a_link(self, here: Path) -> None:
        (here / "disk").mkdir()
        (here / "link").symlink_to("disk")
        write(here / "link")
        write(here / "link", 2, force=True)
        assert (here / "link").is_symlink()
        assert Bundle.open(here / "disk").arrays("a.safetensors")["x"][0] == 2

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("file", "is a file"),
            ("broken", "does not exist"),
            ("loop", "link"),
            ("file/below", "not a folder|Not a directory"),
            ("n" * 256, "too long"),
            ("/", "not a bundle"),
            ("/proc/captioner", "cannot be used"),
        ],
    )
    def test_impossible_folders_are_refused(self, here: Path, name: str, reason: str) -> None:
        (here / "file").write_text("mine")
        (here / "broken").symlink_to("nowhere")
        (here / "loop").symlink_to("loop")
        before = tree(here)
        for force in (False, True):
            with pytest.raises(UsageError, match=reason):
                destination.check(Path(name), force=force)
            with pytest.raises(UsageError, match=reason):
                write(Path(name), force=force)
        assert tree(here) == before

    def test_files_that_do_not_belong_to_the_bundle_are_named(self, here: Path) -> None:
        write(Path("mine"))
        Path("mine/notes.txt").write_text("keep me")
        Path("mine/words.json").write_text("changed by hand")
        with pytest.raises(UsageError, match=r"notes\.txt, words\.json"):
            write(Path("mine"), 2, force=True)

    def test_the_current_folder_is_not_replaced(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(Path("mine"))
        monkeypatch.chdir(here / "mine")
        with pytest.raises(UsageError, match="current folder"):
            write(Path(), 2, force=True)

    @pytest.mark.parametrize("step", ["write", "rename", "remove"])
    def test_after_any_failure_the_old_or_the_new_bundle_is_complete(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        write(Path("mine"))
        before = tree(here)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            if step == "write":
                broken.setattr(Path, "write_text", full)
            elif step == "rename":
                rename = Path.rename
                broken.setattr(
                    Path, "rename", lambda a, b: full() if a.name == "new" else rename(a, b)
                )
            else:
                broken.setattr(Path, "unlink", full)
            if step == "remove":
                write(Path("mine"), 2, force=True)
            else:
                with pytest.raises(CaptionerError, match="No space left"):
                    write(Path("mine"), 2, force=True)
        if step == "remove":
            assert Bundle.open(Path("mine")).arrays("a.safetensors")["x"][0] == 2
            assert Bundle.open(Path("mine.old")).arrays("a.safetensors")["x"][0] == 1
        else:
            assert tree(here) == before

    @pytest.mark.parametrize("name", ["mine", "empty"])
    def test_files_that_appear_in_the_meantime_are_preserved(self, here: Path, name: str) -> None:
        if name == "empty":
            Path(name).mkdir()
        with (
            pytest.raises(CaptionerError, match=r"no longer empty|not a bundle"),
            destination.replacing(Path(name)) as new,
        ):
            (new / "bundle.json").write_text("{}")
            Path(name).mkdir(exist_ok=True)
            Path(name, "photo.jpg").write_text("mine")
        assert tree(here) == {name: ("folder", b""), f"{name}/photo.jpg": ("file", b"mine")}

    def test_a_name_in_use_by_an_earlier_bundle_is_not_reused(self, here: Path) -> None:
        write(Path("mine"))
        Path("mine.old").mkdir()
        Path("mine.old/notes.txt").write_text("mine")
        write(Path("mine"), 2, force=True)
        assert Path("mine.old/notes.txt").read_text() == "mine"
        assert not Path("mine.old-2").exists()


def train(*words: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, words)], prog_name="captioner")


class TestTraining:
    """The command line; each is refused before anything is trained or fetched."""

    @pytest.fixture(autouse=True)
    def data(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("CAPTIONER_HOME", str(here.parent / "home"))
        monkeypatch.delenv("CAPTIONER_DATA", raising=False)
        monkeypatch.setitem(sys.modules, "captioner.training.run", None)
        monkeypatch.setattr("captioner.training.download.download", None)
        Path("data/Images").mkdir(parents=True)
        Path("data/Images/a.jpg").write_bytes(b"a photo")
        Path("data/captions.txt").write_text("image,caption\na.jpg,a dog\n")
        Path("notes").mkdir()
        Path("notes/diary.txt").write_text("mine")
        Path("broken").symlink_to("nowhere")
        write(Path("bundle"))
        Path("run").mkdir()
        Path("run/options.json").write_text(
            '{"encoder": "", "preset": "", "decoders": 1, "decoder_epochs": 1, "seed": 1}'
        )
        Path("run/last.safetensors").write_text("hours of work")
        before = tree(here)
        yield
        assert tree(here) == before

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--out", "."], "not a bundle"),
            (["--out", ".."], "not a bundle"),
            (["--out", "/"], "inside|not a bundle"),
            (["--out", "notes"], "not a bundle"),
            (["--out", "notes", "--force"], "not a bundle"),
            (["--out", "notes/diary.txt"], "is a file"),
            (["--out", "broken"], "link"),
            (["--out", "bundle"], "--force"),
            (["--out", "data", "--force"], "both refer to"),
            (["--out", "data/Images/model"], "among the photos"),
            (["--out", "data/Images"], "not a bundle"),
            (["--out", "m", "--work", "notes"], "do not belong to a training run"),
            (
                ["--out", "m", "--work", "notes", "--force", "--resume"],
                "do not belong to a training run",
            ),
            (["--out", "m", "--work", "notes/diary.txt"], "not a folder"),
            (["--out", "m", "--work", "data"], "--data"),
            (["--out", "m", "--work", "run"], "--resume"),
            (["--out", "m", "--work", "m"], "both refer to"),
            (["--out", "m", "--work", "m/checkpoints"], "is inside|lies in"),
            (["--out", "w/m", "--work", "w"], "is inside|lies in"),
            (["--out", "m", "--download", "m/data"], "is inside|lies in"),
            (["--out", "m", "--download", "notes"], "not empty"),
            (["--out", "m", "--download", "notes/diary.txt"], "not a folder"),
            (["--out", "m", "--extra-data", "data", "--work", "data/Images/w"], "among the photos"),
            (["--out", "bundle", "--force", "--encoder", "bundle"], "--encoder"),
            (["--out", "../home/cache", "--force"], "cache"),
            (["--out", "n" * 250], "too long"),
            (["--out", "/proc/m"], "cannot be used"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_refused(self, words: list[str], reason: str) -> None:
        given = [] if "--download" in words else ["--data", "data"]
        result = train(*given, *words)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        assert re.search(reason, result.stderr), result.stderr
        assert "Traceback" not in result.stderr
