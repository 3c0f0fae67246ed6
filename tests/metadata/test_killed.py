"""A writer killed at any moment leaves every photo either old or new as a whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_descriptions
import pytest
from pictures import picture
from processes import ROOT, run

from captioner.index import Index
from captioner.metadata import undo
from captioner.metadata.replace import sha256
from captioner.types import Photo

pytestmark = pytest.mark.process

PHOTOS = 100
MAX_SECONDS = 0.6
"""Seconds of writing before it is killed, a little more than all photos take."""


@pytest.fixture
def originals(tmp_path: Path) -> dict[Path, bytes]:
    """Photos with different contents."""
    folder = tmp_path / "photos"
    folder.mkdir()
    data = picture("JPEG")
    made = {folder / f"{number:03}.jpg": data + bytes([number]) for number in range(PHOTOS)}
    for path, content in made.items():
        path.write_bytes(content)
    return made


@pytest.fixture
def home(tmp_path: Path, originals: dict[Path, bytes]) -> Path:
    """The folder of an index that contains them."""
    described = []
    for path in originals:
        found = path.stat()
        photo = Photo.of(path, found)
        described.append(fake_descriptions.description(photo, f"Photo {path.stem}."))
    with Index.open(tmp_path / "home/captioner.db", write=True) as index:
        index.store(described, "m")
    return tmp_path / "home"


@pytest.mark.parametrize(
    "times", [4, pytest.param(200, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_writers_leave_whole_photos(
    home: Path, originals: dict[Path, bytes], times: int
) -> None:
    folder = next(iter(originals)).parent
    moments = random.Random(11)
    between = 0
    for _ in range(times):
        kill_a_writer(home, next(iter(originals)), moments.uniform(0, MAX_SECONDS))
        new = 0
        with Index.open(home / "captioner.db") as index:
            records = index.writes()
            for path, before in originals.items():
                data = path.read_bytes()
                if data != before:
                    record = records.find(path, sha256(data))
                    assert record and undo.undo_write(record, data) == before
                    new += 1
        between += 0 < new < PHOTOS
        done = run("undo", "--keep-times", folder, home=home)
        assert done.returncode == 0, done.stderr
        assert {path: path.read_bytes() for path in folder.iterdir()} == originals
    print(f"\n{between} of {times} were killed between photos")


def kill_a_writer(home: Path, first: Path, after: float) -> None:
    """Start `captioner write`, and kill it `after` seconds after it has written the first photo."""
    before = first.stat().st_ino
    command = [sys.executable, "-m", "captioner", "write", "--in-place", "--keep-times"]
    with subprocess.Popen(
        [*command, str(first.parent)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CAPTIONER_HOME": str(home), "PYTHONPATH": str(ROOT)},
    ) as process:
        while first.stat().st_ino == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
