"""Processes killed in the middle of an update: nothing that was reported is lost.

`CAPTIONER_CRASHES` sets the number of random kills (10).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from processes import ROOT

from captioner.index import Index

pytestmark = pytest.mark.process

BATCH = 4
"""Of the fake describer."""
CRASHES = int(os.environ.get("CAPTIONER_CRASHES", "10"))


class Spawner:
    """The process in `crash_worker.py`, which starts the children."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, ROOT / "tests/support/crash_worker.py"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, deadline: int | None = None) -> int:
        """Start a child; its number."""
        return self._ask(f"{folder}" if deadline is None else f"{folder}\t{deadline}")

    def ended_well(self) -> bool:
        """Wait for the child's end: whether it ended by itself, and not by being killed."""
        status = self._ask("")
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
        return status == 0

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


def lines(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines() if log.exists() else [])


def check(folder: Path) -> None:
    """Whenever a process dies, what it reported is stored, and all tables agree."""
    with closing(sqlite3.connect(folder / "captioner.db")) as connection:

        def all_of(sql: str) -> set[object]:
            return {row[0] for row in connection.execute(sql)}

        assert all_of("PRAGMA integrity_check") == {"ok"}
        assert not all_of("PRAGMA foreign_key_check")
        if "photos" not in all_of("SELECT name FROM sqlite_master"):
            assert not lines(folder / "done")  # killed before anything was stored
            return
        connection.execute("INSERT INTO texts_fts (texts_fts) VALUES ('integrity-check')")
        stored = {os.fsdecode(path) for (path,) in connection.execute("SELECT path FROM photos")}
        assert lines(folder / "done").keys() <= stored
        described = all_of("SELECT id FROM photos WHERE status = 'described'")
        for table in ("captions", "keywords", "features", "vectors", "texts", "facts"):
            assert all_of(f"SELECT photo FROM {table}") == described, table
        assert all_of("SELECT rowid FROM texts_fts WHERE texts_fts MATCH 'photo'") == described


def collection(folder: Path, number: int) -> Path:
    """Photos, one of them broken, and two copies."""
    photos = folder / "photos"
    for at in range(number):
        photo(photos / f"{at:03}.jpg", COLOURS[at % 3])
    (photos / "001.jpg").write_bytes(b"\xff\xd8\xff")
    for name in ("copy a.jpg", "copy b.jpg"):
        shutil.copy(photos / "000.jpg", photos / name)
    return folder


def complete(folder: Path, photos: int, kills: int) -> None:
    check(folder)
    with Index.open(folder / "captioner.db") as index:
        counts = index.counts()
    assert (counts.photos, counts.failed, counts.missing) == (photos, 1, 0)
    described = lines(folder / "described")
    again = sum(described.values()) - len(described)
    assert again <= kills * BATCH, "more than the batches in flight were described twice"


def test_random_kills(tmp_path: Path, spawner: Spawner) -> None:
    chance = random.Random(1)
    left = CRASHES
    for at in count():
        folder = collection(tmp_path / str(at), 40)
        kills = 0
        while True:
            number = spawner.start(folder)
            if left:
                time.sleep(chance.uniform(0, 0.4))
                os.kill(number, signal.SIGKILL)
            if spawner.ended_well():
                break
            left -= 1
            kills += 1
            check(folder)
        complete(folder, 42, kills)
        shutil.rmtree(folder)
        if not left:
            return


@pytest.mark.parametrize("first", [True, False], ids=["a new index", "photos that moved"])
def test_kills_at_every_commit(tmp_path: Path, spawner: Spawner, first: bool) -> None:
    folder = collection(tmp_path / "run", 7)
    if not first:
        spawner.start(folder)
        assert spawner.ended_well()
        (folder / "photos/000.jpg").rename(folder / "photos/renamed.jpg")
        (folder / "photos/002.jpg").unlink()
        photo(folder / "photos/003.jpg", "blue")
        photo(folder / "photos/new.jpg", "red")
        (folder / "described").unlink()
        (folder / "done").unlink()
    origin = shutil.copytree(folder, tmp_path / "origin")
    for deadline in count():
        shutil.rmtree(folder)
        shutil.copytree(origin, folder)
        spawner.start(folder, deadline)
        if spawner.ended_well():
            break
        check(folder)
        spawner.start(folder)
        assert spawner.ended_well()
        if first:
            complete(folder, 9, 1)
        else:
            check(folder)
            described = lines(folder / "described")
            assert sum(described.values()) <= 2 + BATCH
            with Index.open(folder / "captioner.db") as index:
                counts = index.counts()
                assert [one.path.name for one in index.missing_photos()] == ["002.jpg"]
            assert (counts.photos, counts.described) == (10, 9)
    assert deadline >= 6
