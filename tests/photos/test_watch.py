"""Watching folders, through everything that makes notifications fail. Uses real inotify."""

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
from captioner.photos.watch import Watcher, concerns_index

Start = Callable[..., Watcher]
TIMEOUT = 60.0
"""Seconds; generous, for busy machines."""


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(watch, "_POLL_INTERVAL", 0.05)
    monkeypatch.setattr(watch, "_TICK", 0.02)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def reported() -> list[str]:
    return []


@pytest.fixture
def start(reported: list[str]) -> Iterator[Start]:
    """Start a watcher that is stopped after the test."""
    with ExitStack() as stack:

        def started(*folders: Path, **options: object) -> Watcher:
            names = [str(folder) for folder in folders]
            return stack.enter_context(Watcher(names, reported.append, **options))  # type: ignore[arg-type]

        yield started


def wait_for_changes(watcher: Watcher) -> list[str]:
    """The folders in which something changes; fails if nothing is noticed."""
    end = time.monotonic() + TIMEOUT
    found = watcher.wait_for_changes(0.1, lambda: time.monotonic() > end)
    assert found, "nothing was noticed"
    return found


def assert_noticed(watcher: Watcher, root: Path) -> None:
    assert wait_for_changes(watcher) == [str(root)]


def wait_until_quiet(watcher: Watcher) -> None:
    """Take pending changes, and fail if they never end."""
    end = time.monotonic() + TIMEOUT
    while watcher.wait_for_changes(0.1, lambda: False, timeout=0.3):
        assert time.monotonic() < end, "it never ends"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_files_that_concern_the_index() -> None:
    assert all(map(concerns_index, ("a.jpg", "b.HEIC", ".captionerignore", ".nomedia")))
    assert not any(map(concerns_index, ("a.txt", "captioner.db", "captioner.db-wal", "a.jpg.part")))


def test_files_are_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        Watcher([str(put(root / "a.jpg"))])


def test_photos_new_folders_and_ignore_files_are_noticed_and_nothing_else(
    root: Path, start: Start, reported: list[str]
) -> None:
    watcher = start(root)
    put(root / "notes.txt")
    wait_until_quiet(watcher)
    for name in ("a.jpg", "new/deeper/b.jpg", ".captionerignore", "new/.nomedia"):
        put(root / name)
        assert_noticed(watcher, root)
        wait_until_quiet(watcher)
    (root / "a.jpg").unlink()
    assert_noticed(watcher, root)
    assert reported == []


def test_a_folder_behind_a_link(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere/deeper").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    watcher = start(root)
    assert watcher.folder_count == 3
    put(tmp_path / "elsewhere/deeper/a.jpg")
    assert_noticed(watcher, root)


def test_a_link_created_later_and_removed_again(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere").mkdir()
    watcher = start(root)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    put(tmp_path / "elsewhere/a.jpg")
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    (root / "link").unlink()
    assert_noticed(watcher, root)


def test_a_link_in_a_folder_that_is_moved_in(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "album").mkdir()
    (tmp_path / "album/link").symlink_to(tmp_path / "elsewhere")
    watcher = start(root)
    (tmp_path / "album").rename(root / "album")
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    put(tmp_path / "elsewhere/a.jpg")
    assert_noticed(watcher, root)


def test_cyclic_links(root: Path, start: Start) -> None:
    (root / "a").mkdir()
    (root / "a/up").symlink_to(root)
    (root / "self").symlink_to("self")
    watcher = start(root)
    put(root / "a/1.jpg")
    assert_noticed(watcher, root)


def test_a_link_that_is_named(root: Path, tmp_path: Path, start: Start) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    watcher = start(link)
    put(root / "a.jpg")
    assert_noticed(watcher, link)


def test_the_target_of_a_link_is_deleted_and_created_again(
    root: Path, tmp_path: Path, start: Start
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "link").symlink_to(elsewhere)
    watcher = start(root)
    elsewhere.rmdir()
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    elsewhere.mkdir()
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    put(elsewhere / "a.jpg")
    assert_noticed(watcher, root)


def test_a_folder_that_is_deleted_and_created_again(
    root: Path, start: Start, reported: list[str]
) -> None:
    watcher = start(root)
    root.rmdir()
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    assert reported == [f"{root} no longer exists: waiting for it to come back."]
    root.mkdir()
    assert_noticed(watcher, root)
    assert reported[1:] == [f"{root} is back: watching it again."]
    wait_until_quiet(watcher)
    put(root / "a.jpg")
    assert_noticed(watcher, root)


def test_a_folder_that_is_created_again_at_once(root: Path, start: Start) -> None:
    watcher = start(root)
    for _ in range(5):  # a file system may give the same inode again
        shutil.rmtree(root)
        root.mkdir()
        assert_noticed(watcher, root)
        wait_until_quiet(watcher)
        put(root / "a.jpg")
        assert_noticed(watcher, root)
        wait_until_quiet(watcher)


def test_a_folder_that_is_moved_away_and_back(root: Path, tmp_path: Path, start: Start) -> None:
    watcher = start(root)
    root.rename(tmp_path / "away")
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    (tmp_path / "away").rename(root)
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    put(root / "a.jpg")
    assert_noticed(watcher, root)


def test_a_drive_that_is_mounted_inside(root: Path, start: Start) -> None:
    points: dict[bytes, str] = {b"/": "ext4"}
    watcher = start(root, mounted=lambda: points)
    wait_until_quiet(watcher)
    points[os.fsencode(root / "drive")] = "vfat"
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    points[b"/elsewhere"] = "vfat"
    assert watcher.wait_for_changes(0.1, lambda: False, timeout=0.5) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify reports it")
def test_a_folder_whose_permissions_change(root: Path, start: Start) -> None:
    (root / "private").mkdir()
    watcher = start(root)
    (root / "private").chmod(0o500)
    assert_noticed(watcher, root)


def limited(
    monkeypatch: pytest.MonkeyPatch, error: int, *, recursive: bool, once: bool = False
) -> None:
    """Have the system refuse watches: recursive ones, or the others."""
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
def test_more_folders_than_the_system_can_watch(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, reported: list[str], recursive: bool
) -> None:
    limited(monkeypatch, errno.ENOSPC, recursive=recursive)
    (root / "elsewhere").mkdir()
    (root / "link").symlink_to(root / "elsewhere")
    watcher = start(root)
    assert len(reported) == 1
    assert "cannot watch so many folders" in reported[0]
    assert "sudo sysctl fs.inotify.max_user_watches" in reported[0]
    wait_until_quiet(watcher)
    put(root / "elsewhere/a.jpg")
    assert_noticed(watcher, root)
    put(root / "new/b.jpg")
    assert_noticed(watcher, root)
    (root / "new/b.jpg").unlink()
    assert_noticed(watcher, root)
    put(root / "notes.txt")
    wait_until_quiet(watcher)
    assert len(reported) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only inotify has this limit")
def test_a_new_folder_that_exceeds_the_limit(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, reported: list[str]
) -> None:
    watcher = start(root)
    limited(monkeypatch, errno.ENOSPC, recursive=False)
    (root / "new").mkdir()
    assert_noticed(watcher, root)
    assert "cannot watch so many folders" in reported[0]
    wait_until_quiet(watcher)
    put(root / "new/a.jpg")
    assert_noticed(watcher, root)


def test_too_many_watching_programs(
    monkeypatch: pytest.MonkeyPatch, root: Path, start: Start, reported: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(watch, "Observer", refuse)
    watcher = start(root)
    assert "cannot watch so many folders" in reported[0]
    put(root / "a.jpg")
    assert_noticed(watcher, root)


def test_a_network_drive_is_polled(
    root: Path, tmp_path: Path, start: Start, reported: list[str]
) -> None:
    (tmp_path / "disk").mkdir()
    kinds = {os.fsencode(root): "nfs4"}
    watcher = start(root, tmp_path / "disk", network=kinds.get)
    put(root / "a.jpg")
    assert_noticed(watcher, root)
    wait_until_quiet(watcher)
    put(tmp_path / "disk/a.jpg")
    assert_noticed(watcher, tmp_path / "disk")
    assert len(reported) == 1
    assert f"Checking {root} every few seconds" in reported[0]
    assert "(nfs4)" in reported[0]


def test_lost_events(root: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "second").mkdir()
    watcher = start(root, tmp_path / "second")
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    assert wait_for_changes(watcher) == [str(root), str(tmp_path / "second")]
    wait_until_quiet(watcher)
    put(root / "a.jpg")
    assert_noticed(watcher, root)


def test_changes_during_a_wait_are_not_lost(root: Path, start: Start) -> None:
    watcher = start(root)
    for number in range(50):
        put(root / f"{number}.jpg")
        (root / f"{number}").mkdir()
    end = time.monotonic() + TIMEOUT
    assert watcher.wait_for_changes(0, lambda: time.monotonic() > end) == [str(root)]
    put(root / "49/late.jpg")
    assert_noticed(watcher, root)


def test_stop_ends_the_wait(root: Path, start: Start) -> None:
    assert start(root).wait_for_changes(1, lambda: True) == []
