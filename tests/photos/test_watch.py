"""Folders watched for changes, through everything that makes watching go deaf. Real inotify."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from watchdog.observers import Observer

from captioner.errors import UsageError
from captioner.photos import watch
from captioner.photos.watch import Watcher, concerns

Start = Callable[..., Watcher]
PATIENCE = 60.0
"""Seconds, for machines that are busy."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_CHECK", 0.05)
    monkeypatch.setattr(watch, "_POLL", 0.05)
    monkeypatch.setattr(watch, "_TICK", 0.02)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(said: list[str]) -> Iterator[Start]:
    """Start a watcher that is stopped after the test."""
    with ExitStack() as stack:

        def started(*folders: Path, **options: object) -> Watcher:
            names = [str(folder) for folder in folders]
            return stack.enter_context(Watcher(names, said.append, **options))  # type: ignore[arg-type]

        yield started


def touched(watcher: Watcher) -> list[str]:
    """The folders in which something happens; fails where nothing is noticed."""
    end = time.monotonic() + PATIENCE
    found = watcher.touched(0.1, lambda: time.monotonic() > end)
    assert found, "nothing was noticed"
    return found


def notices(watcher: Watcher, root: Path) -> None:
    assert touched(watcher) == [str(root)]


def quiet(watcher: Watcher) -> None:
    """Take what is on its way; then nothing may come any more."""
    end = time.monotonic() + PATIENCE
    while watcher.touched(0.1, lambda: False, wait=0.3):
        assert time.monotonic() < end, "it never ends"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_what_concerns_the_index() -> None:
    assert all(map(concerns, ("a.jpg", "b.HEIC", ".captionerignore", ".nomedia")))
    assert not any(map(concerns, ("a.txt", "captioner.db", "captioner.db-wal", "a.jpg.part")))


def test_only_folders(root: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        Watcher([str(put(root / "a.jpg"))])


def test_photos_new_folders_and_ignore_files_are_noticed_and_nothing_else(
    root: Path, start: Start, said: list[str]
) -> None:
    watcher = start(root)
    put(root / "notes.txt")
    quiet(watcher)
    for name in ("a.jpg", "new/deeper/b.jpg", ".captionerignore", "new/.nomedia"):
        put(root / name)
        notices(watcher, root)
        quiet(watcher)
    (root / "a.jpg").unlink()
    notices(watcher, root)
    assert said == []


def test_a_folder_behind_a_link(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere/deeper").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    watcher = start(root)
    assert watcher.folders == 3
    put(tmp_path / "elsewhere/deeper/a.jpg")
    notices(watcher, root)


def test_a_link_made_later_and_removed_again(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere").mkdir()
    watcher = start(root)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    notices(watcher, root)
    quiet(watcher)
    put(tmp_path / "elsewhere/a.jpg")
    notices(watcher, root)
    quiet(watcher)
    (root / "link").unlink()
    notices(watcher, root)


def test_a_link_in_a_folder_that_is_moved_in(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "album").mkdir()
    (tmp_path / "album/link").symlink_to(tmp_path / "elsewhere")
    watcher = start(root)
    (tmp_path / "album").rename(root / "album")
    notices(watcher, root)
    quiet(watcher)
    put(tmp_path / "elsewhere/a.jpg")
    notices(watcher, root)


def test_links_in_a_circle(root: Path, start: Start) -> None:
    (root / "a").mkdir()
    (root / "a/up").symlink_to(root)
    (root / "self").symlink_to("self")
    watcher = start(root)
    put(root / "a/1.jpg")
    notices(watcher, root)


def test_a_link_that_is_named(root: Path, tmp_path: Path, start: Start) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    watcher = start(link)
    put(root / "a.jpg")
    notices(watcher, link)


def test_what_a_link_leads_to_is_deleted_and_made_again(
    root: Path, tmp_path: Path, start: Start
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)
    watcher = start(root)
    elsewhere.rmdir()
    notices(watcher, root)
    quiet(watcher)
    elsewhere.mkdir()
    notices(watcher, root)
    quiet(watcher)
    put(elsewhere / "a.jpg")
    notices(watcher, root)


def test_a_folder_that_is_deleted_and_made_again(root: Path, start: Start, said: list[str]) -> None:
    watcher = start(root)
    root.rmdir()
    notices(watcher, root)
    quiet(watcher)
    assert said == [f"{root} no longer exists: waiting for it to come back."]
    root.mkdir()
    notices(watcher, root)
    assert said[1:] == [f"{root} is back: watching it again."]
    quiet(watcher)
    put(root / "a.jpg")
    notices(watcher, root)


def test_a_folder_that_is_made_again_at_once(root: Path, start: Start) -> None:
    watcher = start(root)
    for _ in range(5):  # a file system may give the same inode again
        shutil.rmtree(root)
        root.mkdir()
        notices(watcher, root)
        quiet(watcher)
        put(root / "a.jpg")
        notices(watcher, root)
        quiet(watcher)


def test_a_folder_that_is_moved_away_and_back(root: Path, tmp_path: Path, start: Start) -> None:
    watcher = start(root)
    root.rename(tmp_path / "away")
    notices(watcher, root)
    quiet(watcher)
    (tmp_path / "away").rename(root)
    notices(watcher, root)
    quiet(watcher)
    put(root / "a.jpg")
    notices(watcher, root)


def test_a_drive_that_is_mounted_inside(root: Path, start: Start) -> None:
    points: dict[bytes, str] = {b"/": "ext4"}
    watcher = start(root, mounted=lambda: points)
    quiet(watcher)
    points[os.fsencode(root / "drive")] = "vfat"
    notices(watcher, root)
    quiet(watcher)
    points[b"/elsewhere"] = "vfat"
    assert watcher.touched(0.1, lambda: False, wait=0.5) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify reports it")
def test_a_folder_whose_rights_change(root: Path, start: Start) -> None:
    (root / "private").mkdir()
    watcher = start(root)
    (root / "private").chmod(0o500)
    notices(watcher, root)


def limited(
    monkeypatch: pytest.MonkeyPatch, error: int, *, recursive: bool, once: bool = False
) -> None:
    """Have the system refuse watches: of folders with all below them, or else the next one."""
    schedule = Observer.schedule

    def refuse(self: object, handler: object, path: str, **options: object) -> object:
        if bool(options.get("recursive")) is recursive:
            if once:
                monkeypatch.setattr(Observer, "schedule", schedule)
            raise OSError(error, os.strerror(error))
        return schedule(self, handler, path, **options)

    monkeypatch.setattr(Observer, "schedule", refuse)


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify has this limit")
@pytest.mark.parametrize("recursive", [True, False], ids=["the folder itself", "one below it"])
def test_more_folders_than_the_system_watches(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, said: list[str], recursive: bool
) -> None:
    limited(monkeypatch, errno.ENOSPC, recursive=recursive)
    (root / "elsewhere").mkdir()
    (root / "link").symlink_to(root / "elsewhere")
    watcher = start(root)
    assert len(said) == 1
    assert "cannot watch so many folders" in said[0]
    assert "sudo sysctl fs.inotify.max_user_watches" in said[0]
    quiet(watcher)
    put(root / "elsewhere/a.jpg")
    notices(watcher, root)
    put(root / "new/b.jpg")
    notices(watcher, root)
    (root / "new/b.jpg").unlink()
    notices(watcher, root)
    put(root / "notes.txt")
    quiet(watcher)
    assert len(said) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify has this limit")
def test_a_limit_that_a_new_folder_reaches(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, said: list[str]
) -> None:
    watcher = start(root)
    limited(monkeypatch, errno.ENOSPC, recursive=False)
    (root / "new").mkdir()
    notices(watcher, root)
    assert "cannot watch so many folders" in said[0]
    quiet(watcher)
    put(root / "new/a.jpg")
    notices(watcher, root)


def test_too_many_programs_that_watch(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, said: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(watch, "Observer", refuse)
    watcher = start(root)
    assert "cannot watch so many folders" in said[0]
    put(root / "a.jpg")
    notices(watcher, root)


def test_a_network_drive_is_polled(
    root: Path, tmp_path: Path, start: Start, said: list[str]
) -> None:
    (tmp_path / "disk").mkdir()
    kinds = {os.fsencode(root): "nfs4"}
    watcher = start(root, tmp_path / "disk", network=kinds.get)
    put(root / "a.jpg")
    notices(watcher, root)
    quiet(watcher)
    put(tmp_path / "disk/a.jpg")
    notices(watcher, tmp_path / "disk")
    assert len(said) == 1
    assert f"Looking into {root} every few seconds" in said[0]
    assert "(nfs4)" in said[0]


def test_events_that_were_lost(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "second").mkdir()
    watcher = start(root, tmp_path / "second")
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    assert touched(watcher) == [str(root), str(tmp_path / "second")]
    quiet(watcher)
    put(root / "a.jpg")
    notices(watcher, root)


def test_what_happens_while_others_are_dealt_with_is_not_lost(root: Path, start: Start) -> None:
    watcher = start(root)
    for number in range(50):
        put(root / f"{number}.jpg")
        (root / f"{number}").mkdir()
    end = time.monotonic() + PATIENCE
    assert watcher.touched(0, lambda: time.monotonic() > end) == [str(root)]
    put(root / "49/late.jpg")
    notices(watcher, root)


def test_a_wish_to_stop_ends_the_waiting(root: Path, start: Start) -> None:
    assert start(root).touched(1, lambda: True) == []
