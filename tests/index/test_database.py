"""The database file on full disks and on network drives."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from colour_describer import photo as colour_photo
from fake_descriptions import description
from recording_describer import RecordingDescriber

from captioner.errors import CaptionerError, DatabaseUnavailableError
from captioner.index import Index, mounts
from captioner.index.database import explaining_errors
from captioner.indexing import update
from captioner.photos.walk import listings


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_up_is_reported_and_nothing_is_lost(
    small_disk: Path, tmp_path: Path
) -> None:
    for number in range(120):
        colour_photo(tmp_path / f"photos/{number}.jpg", "red")
    path = small_disk / "captioner.db"
    with Index.open(path, write=True) as index:
        with pytest.raises(
            CaptionerError, match=r"cannot grow: the disk is full\. Free some space"
        ):
            update(index, listings([tmp_path / "photos"]), RecordingDescriber)
        stored = index.counts().described
        assert 0 < stored < 120
    assert pragma(path, "integrity_check") == "ok"
    with Index.open(path) as index:
        assert index.counts().described == stored
        assert index.search("red")


def test_a_disk_without_room_for_a_database_is_reported(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(1 << 20))
    with pytest.raises(CaptionerError, match=r"disk is full|No space left"):
        Index.open(small_disk / "captioner.db", write=True)


def test_an_error_of_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite reports it if there is no room for the files next to the database."""
    path = tmp_path / "captioner.db"
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    for free, reason in ((1 << 30, "its disk reports an error"), (4096, "the disk is full")):
        usage = SimpleNamespace(total=1 << 40, free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda folder, usage=usage: usage)
        with pytest.raises(DatabaseUnavailableError, match=reason), explaining_errors(path):
            raise error


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a network drive, by the mount table."""
    drive = tmp_path / "my nas"
    drive.mkdir()
    point = str(drive).replace(" ", r"\040")
    table = tmp_path / "mounts"
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\n//nas/photos {point} cifs rw,vers=3 0 0\n")
    monkeypatch.setattr(mounts, "TABLE", table)
    return drive


def test_on_a_network_drive_changes_go_through_a_rollback_journal(network: Path) -> None:
    with Index.open(network / "captioner.db", write=True) as index:
        assert index.network_filesystem == "cifs"
        index.store([description("a.jpg", "A dog.")], "m")
        with Index.open(index.path) as reader:
            assert len(reader.search("dog")) == 1
    assert pragma(network / "captioner.db", "journal_mode") == "delete"


def test_the_journal_mode_follows_the_database(network: Path) -> None:
    here, there = network.parent / "captioner.db", network / "captioner.db"
    with Index.open(here, write=True) as index:
        assert index.network_filesystem is None
        index.store([description("a.jpg", "A dog.")], "m")
    assert pragma(here, "journal_mode") == "wal"
    here.rename(there)
    Index.open(there, write=True).close()
    assert pragma(there, "journal_mode") == "delete"
    there.rename(here)
    with Index.open(here, write=True) as index:
        assert len(index.search("dog")) == 1
    assert pragma(here, "journal_mode") == "wal"


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs")),
        *((kind, False) for kind in ("ext4", "btrfs", "fuseblk", "tmpfs", "vfat")),
    ],
)
def test_kinds_of_network_drives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, network: bool
) -> None:
    table = tmp_path / "mounts"
    table.write_text(f"a / ext4 rw 0 0\nb {tmp_path} {kind} rw 0 0\n")
    monkeypatch.setattr(mounts, "TABLE", table)
    assert mounts.network_filesystem(os.fsencode(tmp_path / "x/y.db")) == (
        kind if network else None
    )


def test_without_a_mount_table_the_file_system_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "there is none")
    point = mounts.mount_point_of(os.fsencode(tmp_path))
    assert os.path.ismount(point)
    assert mounts.is_mounted(point)
    assert not mounts.is_mounted(os.fsencode(tmp_path))
    assert mounts.mount_points_of(os.fsencode(tmp_path)) == {point}
    assert mounts.network_filesystem(os.fsencode(tmp_path)) is None
