"""From what a person names to photos."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from captioner.photos.walk import walk
from captioner.types import Failure, Photo


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(root: Path, *paths: Path) -> list[str]:
    """The photos found, relative to `root`; fails on a failure."""
    found = list(walk(paths or (root,)))
    assert all(isinstance(photo, Photo) for photo in found), found
    return [photo.path.relative_to(root).as_posix() for photo in found]


def only_failure(*paths: Path) -> Failure:
    (found,) = walk(paths)
    assert isinstance(found, Failure)
    assert found.photo is None
    return found


def test_a_folder_gives_its_photos_in_order_subfolders_among_them(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.jpg", "a/2.PNG", "a/1.webp", "c/d/e.TiFf", "C.jpeg")))
    assert names(tmp_path) == ["C.jpeg", "a/1.webp", "a/2.PNG", "b.jpg", "c/d/e.TiFf"]
    assert names(tmp_path) == sorted(names(tmp_path), key=lambda name: name.split("/"))


def test_inside_a_folder_names_that_are_no_photos_and_hidden_ones_are_passed_over(
    tmp_path: Path,
) -> None:
    touch(*(tmp_path / name for name in ("a.txt", "jpg", ".b.jpg", ".hidden/c.jpg", "d.jpg.part")))
    touch(tmp_path / "e.jpg")
    assert names(tmp_path) == ["e.jpg"]


def test_what_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "photo", tmp_path / ".b.jpg", tmp_path / ".hidden/c.jpg")
    given = [tmp_path / "photo", tmp_path / ".b.jpg", tmp_path / ".hidden"]
    assert names(tmp_path, *given) == ["photo", ".b.jpg", ".hidden/c.jpg"]


def test_paths_keep_their_order_and_stay_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "z.jpg", tmp_path / "a/b.jpg")
    monkeypatch.chdir(tmp_path)
    found = walk([Path("z.jpg"), Path("a"), Path("z.jpg")])
    assert [photo.path for photo in found] == [Path("z.jpg"), Path("a/b.jpg"), Path("z.jpg")]


def test_a_photo_carries_size_and_time(tmp_path: Path) -> None:
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


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.jpg", tmp_path / "b/2.jpg")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert names(tmp_path) == ["a/1.jpg", "a/to_b/2.jpg"]


def test_links_to_files_are_photos_and_broken_ones_failures(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/photo")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jpg").symlink_to(tmp_path / "elsewhere/photo")
    assert names(folder) == ["a.jpg"]
    (folder / "a.jpg").unlink()
    (folder / "b.jpg").symlink_to(tmp_path / "gone")
    assert only_failure(folder).path == folder / "b.jpg"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_name_that_is_no_text_survives(tmp_path: Path) -> None:
    for name in (b"\xff\xfe.jpg", "grüße 🐕.jpg".encode(), b"new\nline.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    found = {os.fsencode(photo.path.name) for photo in walk([tmp_path])}
    assert found == {b"\xff\xfe.jpg", "grüße 🐕.jpg".encode(), b"new\nline.jpg"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert only_failure(tmp_path).reason == "it is neither a file nor a folder."


def test_a_path_that_cannot_exist_is_a_failure() -> None:
    assert "null" in only_failure(Path("a\0b")).reason
    assert only_failure(Path("x" * 5000)).reason == "file name too long."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_may_not_be_read_is_a_failure(tmp_path: Path) -> None:
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


def test_folders_may_lie_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):  # deeper than Python may call
        Path("d").mkdir()
        os.chdir("d")
    Path("a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    try:
        (photo,) = walk([Path("d")])
    finally:  # pytest's own cleaning cannot go as deep
        subprocess.run(["rm", "-rf", "d"], check=True)
    assert isinstance(photo, Photo)
    assert len(photo.path.parts) == 1201
