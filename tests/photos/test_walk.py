"""The walk: which photos it finds, in which order, and what it ignores."""

from __future__ import annotations

import codecs
import os
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from captioner.errors import CaptionerWarning, PhotoError, UsageError
from captioner.photos import ignore_rules
from captioner.photos.read import read
from captioner.photos.walk import Selection, listings, walk
from captioner.types import Failure, Listing, Photo


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(root: Path, *paths: Path, **selection: object) -> list[str]:
    """The photos found, relative to `root`; asserts that there are no failures."""
    found = list(walk(paths or (root,), Selection(**selection)))
    assert all(isinstance(photo, Photo) for photo in found), found
    return [photo.path.relative_to(root).as_posix() for photo in found]


def only_failure(*paths: Path) -> Failure:
    (found,) = walk(paths)
    assert isinstance(found, Failure)
    assert found.photo is None
    return found


def test_photos_and_subfolders_are_sorted_together(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.jpg", "a/2.PNG", "a/1.webp", "c/d/e.TiFf", "C.jpeg")))
    assert names(tmp_path) == ["C.jpeg", "a/1.webp", "a/2.PNG", "b.jpg", "c/d/e.TiFf"]
    assert names(tmp_path) == sorted(names(tmp_path), key=lambda name: name.split("/"))


def test_other_and_hidden_files_in_a_folder_are_ignored(
    tmp_path: Path,
) -> None:
    touch(*(tmp_path / name for name in ("a.txt", "jpg", ".b.jpg", ".hidden/c.jpg", "d.jpg.part")))
    touch(tmp_path / "e.jpg")
    assert names(tmp_path) == ["e.jpg"]


def test_a_named_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "photo", tmp_path / ".b.jpg", tmp_path / ".hidden/c.jpg")
    given = [tmp_path / "photo", tmp_path / ".b.jpg", tmp_path / ".hidden"]
    assert names(tmp_path, *given) == ["photo", ".b.jpg", ".hidden/c.jpg"]


def test_paths_stay_in_order_and_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "z.jpg", tmp_path / "a/b.jpg")
    monkeypatch.chdir(tmp_path)
    found = walk([Path("z.jpg"), Path("a"), Path("z.jpg")])
    assert [photo.path for photo in found] == [Path("z.jpg"), Path("a/b.jpg")]


def test_a_photo_has_size_and_modification_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    (photo,) = walk([path])
    assert isinstance(photo, Photo)
    assert photo.size == 5
    assert photo.mtime_ns == path.stat().st_mtime_ns


def test_a_path_that_does_not_exist_is_a_failure_in_its_place(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    missing, found = walk([tmp_path / "no.jpg", tmp_path / "a.jpg"])
    assert missing == Failure(tmp_path / "no.jpg", "there is no such file or folder.")
    assert isinstance(found, Photo)


def test_cyclic_links_end(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.jpg", tmp_path / "b/2.jpg")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path) == ["a/1.jpg", "a/to_b/2.jpg"]


def skipped(*paths: Path) -> dict[Path, str]:
    """What a walk skips, and why; asserts that there are no failures."""
    found: dict[Path, str] = {}
    walked = list(walk(paths, skipped=found.__setitem__))
    assert not any(isinstance(one, Failure) for one in walked), walked
    return found


def test_links_to_files_are_photos_and_broken_ones_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/photo")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jpg").symlink_to(tmp_path / "elsewhere/photo")
    assert names(folder) == ["a.jpg"]
    (folder / "a.jpg").unlink()
    (folder / "b.jpg").symlink_to(tmp_path / "gone")
    (folder / "album").symlink_to(tmp_path / "gone/album")
    (folder / "notes.txt").symlink_to(tmp_path / "gone")
    (folder / "c.jpg").symlink_to("c.jpg")
    (folder / "d.jpg").symlink_to("b.jpg")
    assert skipped(folder) == {
        folder / "album": f"it is a link to {tmp_path}/gone/album, which does not exist.",
        folder / "b.jpg": f"it is a link to {tmp_path}/gone, which does not exist.",
        folder / "c.jpg": "it is a link to c.jpg, which leads back to the link itself.",
        folder / "d.jpg": "it is a link to b.jpg, which does not exist.",
    }


def test_a_named_broken_link_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("gone.jpg")
    (tmp_path / "b").symlink_to("b")
    reason = only_failure(tmp_path / "a.jpg").reason
    assert reason == "it is a link to gone.jpg, which does not exist."
    assert "leads back to the link itself" in only_failure(tmp_path / "b").reason


def test_a_file_deleted_during_the_walk_is_no_failure(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a/1.jpg", "b.jpg", "c.jpg")))
    found = walk([tmp_path])
    assert isinstance(next(found), Photo)  # the names next to the folder are known already
    (tmp_path / "b.jpg").unlink()
    assert [one.path for one in found if isinstance(one, Photo)] == [tmp_path / "c.jpg"]


@pytest.mark.parametrize("seconds", [-(2**33), -1, 2**33, 15_032_385_535])
def test_any_modification_time_fits(tmp_path: Path, seconds: int) -> None:
    touch(tmp_path / "a.jpg")
    status = list((tmp_path / "a.jpg").stat())
    ns = seconds * 10**9
    made = Photo.of("a.jpg", os.stat_result(status, {"st_mtime_ns": ns}))
    assert made.mtime_ns == max(min(ns, 2**63 - 1), 1 - 2**63)
    listing = Listing("")
    listing.add("a.jpg", os.stat_result(status, {"st_mtime_ns": ns}))
    assert list(listing) == [made]


def test_a_file_system_without_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(*(tmp_path / name for name in ("a/1.jpg", "b/2.jpg")))
    (tmp_path / "b/up").symlink_to(tmp_path)
    stat = Path.stat

    def without(path: Path, **options: bool) -> os.stat_result:
        found = list(stat(path, **options))
        found[1] = 0
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", without)
    assert names(tmp_path) == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.jpg", "grüße 🐕.jpg".encode(), b"new\nline.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    found = {os.fsencode(photo.path.name) for photo in walk([tmp_path])}
    assert found == {b"\xff\xfe.jpg", "grüße 🐕.jpg".encode(), b"new\nline.jpg"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_named_pipes_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert skipped(tmp_path) == {tmp_path / "a.jpg": "it is neither a file nor a folder."}
    assert only_failure(tmp_path / "a.jpg").reason == "it is neither a file nor a folder."


def test_a_path_that_cannot_exist_is_a_failure() -> None:
    assert "null" in only_failure(Path("a\0b")).reason
    assert only_failure(Path("x" * 5000)).reason == "file name too long."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_without_read_permission_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.jpg", tmp_path / "b.jpg")
    (tmp_path / "a").chmod(0)
    try:
        failure, photo = walk([tmp_path])
    finally:
        (tmp_path / "a").chmod(0o700)
    assert failure == Failure(tmp_path / "a", "you have no permission to read it.")
    assert isinstance(photo, Photo)


def test_a_folder_without_photos_gives_nothing(tmp_path: Path) -> None:
    assert names(tmp_path) == []


def test_deeply_nested_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):  # deeper than Python's recursion limit
        Path("d").mkdir()
        os.chdir("d")
    Path("a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    try:
        (photo,) = walk([Path("d")])
    finally:  # pytest's own clean-up cannot go as deep
        subprocess.run(["rm", "-rf", "d"], check=True)
    assert isinstance(photo, Photo)
    assert len(photo.path.parts) == 1201


class TestHidden:
    NAMES = (
        *("a.jpg", "._a.jpg", ".b.jpg", ".hidden/c.jpg", "x/@eaDir/d.jpg", "x/.Trashes/e.jpg"),
        *("$RECYCLE.BIN/f.jpg", ".thumbnails/g.jpg", "#recycle/h.jpg", "lost+found/i.jpg"),
        "System Volume Information/j.jpg",
    )

    def test_hidden_and_system_files_are_ignored(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in self.NAMES))
        assert names(tmp_path) == ["a.jpg"]

    def test_include_hidden(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in (*self.NAMES, "n/.nomedia", "n/k.jpg")))
        assert sorted(names(tmp_path, include_hidden=True)) == sorted([*self.NAMES, "n/k.jpg"])

    def test_nomedia(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in ("a/.nomedia", "a/1.jpg", "a/b/2.jpg", "c/3.jpg")))
        assert names(tmp_path) == ["c/3.jpg"]
        assert names(tmp_path, tmp_path / "a") == ["a/1.jpg", "a/b/2.jpg"]  # named


class TestExclude:
    def make(self, root: Path) -> None:
        listed = ("a.jpg", "b.png", "x/a.jpg", "x/b.png", "x/y/a.jpg", "private/a.jpg", "x/private")
        touch(*(root / name for name in listed))

    @pytest.mark.parametrize(
        ("patterns", "left"),
        [
            (["*.png"], ["a.jpg", "private/a.jpg", "x/a.jpg", "x/y/a.jpg"]),
            (["private/", "*.png", "!x/b.png"], ["a.jpg", "x/a.jpg", "x/b.png", "x/y/a.jpg"]),
            (["/a.jpg", "x/y"], ["b.png", "private/a.jpg", "x/a.jpg", "x/b.png"]),
            (["x/**/a.jpg"], ["a.jpg", "b.png", "private/a.jpg", "x/b.png"]),
            (["*"], []),
            (["# *", ""], ["a.jpg", "b.png", "private/a.jpg", "x/a.jpg", "x/b.png", "x/y/a.jpg"]),
        ],
    )  # fmt: skip
    def test_patterns(self, tmp_path: Path, patterns: list[str], left: list[str]) -> None:
        self.make(tmp_path)
        assert names(tmp_path, exclude=tuple(patterns)) == left

    def test_an_invalid_pattern(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"as in \.gitignore"):
            list(walk([tmp_path], Selection(exclude=("!",))))

    @pytest.mark.parametrize(
        "encoded",
        [
            codecs.BOM_UTF8 + "ä.png\nprivate/\n".encode(),
            "ä.png\r\nprivate/\r\n".encode("utf-16"),
            codecs.BOM_UTF16_BE + "ä.png\r\nprivate/".encode("utf-16-be"),
            "ä.png\r\nprivate/\r\n".encode(),
            "ä.png\rprivate/\r".encode(),
            "ä.png\nprivate/\n".encode("latin-1"),
            "ä.png\nprivate/\n".encode("utf-16-le"),
            "ä.png\nprivate/\n".encode("utf-16-be"),
            "a\u0308.png\nprivate/\n".encode(),
        ],
    )
    def test_encodings_and_line_ends_of_ignore_files(self, tmp_path: Path, encoded: bytes) -> None:
        touch(tmp_path / "a.jpg", tmp_path / "ä.png", tmp_path / "private/a.jpg")
        (tmp_path / ".captionerignore").write_bytes(encoded)
        assert names(tmp_path) == ["a.jpg"]

    def test_names_in_either_normal_form(self, tmp_path: Path) -> None:
        touch(tmp_path / "é.png", tmp_path / "e\u0301.jpg")
        for form in ("NFC", "NFD"):
            pattern = unicodedata.normalize(form, "é.*")
            assert names(tmp_path, exclude=(pattern,)) == []

    def test_an_invalid_utf_16_ignore_file_fails_its_folder(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.jpg")
        (tmp_path / ".captionerignore").write_bytes(codecs.BOM_UTF16_LE + b"*\0\n")
        (failure,) = walk([tmp_path])
        assert isinstance(failure, Failure)
        assert "not valid UTF-16" in failure.reason

    @pytest.mark.parametrize("in_file", [True, False])
    @pytest.mark.parametrize(
        ("pattern", "left"),
        [
            ("./x", ["a.jpg", "b.png", "private/a.jpg"]),
            ("./a.jpg", ["b.png", "private/a.jpg", "x/a.jpg", "x/b.png", "x/y/a.jpg"]),
            ("ROOT/x/*.png", ["a.jpg", "b.png", "private/a.jpg", "x/a.jpg", "x/y/a.jpg"]),
            ("ROOT/x/", ["a.jpg", "b.png", "private/a.jpg"]),
            ("ROOT", []),
            ("ROOT/", []),
            ("/x/y", ["a.jpg", "b.png", "private/a.jpg", "x/a.jpg", "x/b.png"]),
        ],
    )
    def test_paths_as_patterns(
        self, tmp_path: Path, recwarn: pytest.WarningsRecorder, in_file: bool, pattern: str,
        left: list[str],
    ) -> None:  # fmt: skip
        root = tmp_path / "photos [1]"
        self.make(root)
        pattern = pattern.replace("ROOT", str(root))
        if in_file:
            (root / ".captionerignore").write_text(pattern)
        assert names(root, exclude=() if in_file else (pattern,)) == left
        assert not recwarn.list

    def test_paths_below_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "home", lambda: tmp_path)
        self.make(tmp_path / "p")
        assert names(tmp_path / "p", exclude=("~/p/x", "!~/p/x/", "~/p/private")) == [
            "a.jpg", "b.png", "x/a.jpg", "x/b.png", "x/y/a.jpg",
        ]  # fmt: skip

    @pytest.mark.parametrize("pattern", ["ABOVE/other/", "C:\\Photos\\x", "d:/x", "!ABOVE/other"])
    def test_paths_outside_the_folder_are_warned_about(self, tmp_path: Path, pattern: str) -> None:
        self.make(tmp_path / "photos")
        (tmp_path / "other").mkdir()
        pattern = pattern.replace("ABOVE", str(tmp_path))
        (tmp_path / "photos/.captionerignore").write_text(pattern)
        with pytest.warns(CaptionerWarning, match="is not below"):
            assert len(names(tmp_path / "photos")) == 6

    def test_paths_on_a_windows_drive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ignore_rules, "_spellings", lambda folder: ["c:/photos/"])
        spec = ignore_rules.patterns(["C:\\Photos\\private\\"], tmp_path)
        assert spec.match_file("private/a.jpg")

    def test_ignore_files_apply_to_their_folder_and_below(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        (tmp_path / "x/.captionerignore").write_text("*.jpg\n!/y/\n")
        assert names(tmp_path) == ["a.jpg", "b.png", "private/a.jpg", "x/b.png"]

    def test_precedence_of_deeper_files_and_of_the_command_line(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        (tmp_path / ".captionerignore").write_text("a.jpg\nprivate/\n")
        (tmp_path / "x/.captionerignore").write_text("!a.jpg\n")
        (tmp_path / "private/.captionerignore").write_text("!a.jpg\n")  # never read
        assert names(tmp_path) == ["b.png", "x/a.jpg", "x/b.png", "x/y/a.jpg"]
        assert names(tmp_path, exclude=("y/", "!/a.jpg")) == [
            "a.jpg",
            "b.png",
            "x/a.jpg",
            "x/b.png",
        ]

    def test_ignore_files_above_a_named_folder_apply(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        (tmp_path / ".captionerignore").write_text("/x/y/\n*.png\nprivate/\n")
        assert names(tmp_path, tmp_path / "x") == ["x/a.jpg"]
        # Naming what such a file ignores overrides it.
        assert names(tmp_path, tmp_path / "private", tmp_path / "b.png") == [
            "private/a.jpg",
            "b.png",
        ]

    def test_wildcards_match_any_name(self, tmp_path: Path) -> None:
        touch(tmp_path / "a/new\nline/b.jpg", tmp_path / os.fsdecode(b"a/\xff.jpg"))
        assert names(tmp_path, exclude=("a/**",)) == []

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_an_unreadable_or_invalid_ignore_file_fails_its_folder(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        os.mkfifo(tmp_path / "x/.captionerignore")
        (tmp_path / "private/.captionerignore").write_bytes(b"!\n")
        found = list(walk([tmp_path]))
        failures = {f.path: f.reason for f in found if isinstance(f, Failure)}
        assert set(failures) == {tmp_path / "x/.captionerignore", tmp_path / "private"}
        assert "a pattern is invalid" in failures[tmp_path / "private"]
        assert [p.path.name for p in found if isinstance(p, Photo)] == ["a.jpg", "b.png"]


class TestOnce:
    """A file that is reached in several ways comes once, by the first of its paths."""

    def test_overlapping_folders(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in ("a/1.jpg", "a/b/2.jpg", "3.jpg")))
        a, b = tmp_path / "a", tmp_path / "a/b"
        assert names(tmp_path, a, b, tmp_path) == ["a/1.jpg", "a/b/2.jpg", "3.jpg"]
        assert names(tmp_path, b, a) == ["a/b/2.jpg", "a/1.jpg"]
        assert names(tmp_path, b / "2.jpg", tmp_path) == ["a/b/2.jpg", "3.jpg", "a/1.jpg"]
        assert names(tmp_path, tmp_path, b / "2.jpg", b / "../1.jpg") == [
            "3.jpg",
            "a/1.jpg",
            "a/b/2.jpg",
        ]

    def test_links(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in ("b.jpg", "d.jpg", "x/.h.jpg", "x/raw")))
        for link, target in (
            *(("a.jpg", "b.jpg"), ("c.jpg", "a.jpg"), ("e.jpg", "d.jpg"), ("f.jpg", "x/.h.jpg")),
            *(("g.jpg", "x/.h.jpg"), ("h.jpg", "x/raw"), ("y", "x")),
        ):
            (tmp_path / link).symlink_to(tmp_path / target)
        # A photo that is found by its own name is not found by a link as well.
        assert names(tmp_path) == ["b.jpg", "d.jpg", "f.jpg", "h.jpg"]

    def test_a_link_to_a_later_file(self, tmp_path: Path) -> None:
        touch(tmp_path / "z/1.jpg", tmp_path / "z/2.jpg")
        (tmp_path / "a.jpg").symlink_to(tmp_path / "z/1.jpg")
        assert names(tmp_path) == ["a.jpg", "z/2.jpg"]

    def test_hard_links_are_files_of_their_own(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.jpg")
        os.link(tmp_path / "a.jpg", tmp_path / "b.jpg")
        assert names(tmp_path) == ["a.jpg", "b.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
class TestNeverOpened:
    def test_pipes_sockets_and_devices(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.jpg")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "b.jpg"))
            for path in (tmp_path / "a.jpg", tmp_path / "b.jpg", Path("/dev/zero")):
                assert only_failure(path).reason == "it is neither a file nor a folder."
            assert set(skipped(tmp_path)) == {tmp_path / "a.jpg", tmp_path / "b.jpg"}

    def test_a_file_that_becomes_a_pipe(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.jpg")
        (photo,) = walk([tmp_path])
        photo.path.unlink()
        os.mkfifo(photo.path)
        with pytest.raises(PhotoError, match="neither a file nor a folder"):
            read(photo, 32)


def test_a_listing_ends_at_a_subfolder_a_failure_and_when_it_is_full(tmp_path: Path) -> None:
    touch(*(tmp_path / f"{number:04}.jpg" for number in range(1100)), tmp_path / "0700/a.jpg")
    (tmp_path / "0900").mkdir()
    os.mkfifo(tmp_path / "0900/.captionerignore")
    found = [
        len(each) if isinstance(each, Listing) else each.path.name for each in listings([tmp_path])
    ]
    assert found == [500, 200, 1, 200, ".captionerignore", 200]
    assert len(list(walk([tmp_path]))) == 1102
