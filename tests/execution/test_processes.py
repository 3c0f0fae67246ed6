"""Describing in several processes: the same results as in one, whatever happens to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from portable_describer import PortableDescriber
from recording_describer import RecordingDescriber

from captioner.execution import processes, threads
from captioner.execution.decoding import decode
from captioner.execution.processes import ProcessExecutor
from captioner.photos.walk import walk
from captioner.types import DecodedPhoto, Description, Failure, Photo

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty photos, two of which cannot be read."""
    for at in range(30):
        path = photo(tmp_path / "photos" / f"{at:03}.jpg", COLOURS[at % 3])
        if at in (0, 17):
            path.write_bytes(path.read_bytes()[:100])
            os.utime(path, (0, 0))  # not a file that is still being copied
    (tmp_path / "processes").mkdir()
    return tmp_path


def lines(results: Sequence[Description | Failure]) -> list[str]:
    return [str(result) for result in results]


def in_threads(folder: Path) -> list[str]:
    return lines(list(threads.EXECUTOR.describe(walk([folder / "photos"]), RecordingDescriber())))


def in_processes(folder: Path, describer: PortableDescriber, number: int) -> list[str]:
    executor = ProcessExecutor(number, first=8)
    return lines(list(executor.describe(walk([folder / "photos"]), describer)))


@pytest.mark.parametrize("number", [1, 3])
def test_the_same_results_in_the_same_order(folder: Path, number: int) -> None:
    describer = PortableDescriber(folder / "processes")
    assert in_processes(folder, describer, number) == in_threads(folder)
    used = {int(file.name) for file in (folder / "processes").iterdir()}
    assert os.getpid() in used  # the first photos
    assert 2 <= len(used) <= 1 + number


def test_processes_decode_once_there_are_some(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[str] = []

    def decode_here(photo: Photo | Failure, size: int) -> DecodedPhoto | Failure:
        here.append(str(photo))
        return decode(photo, size)

    monkeypatch.setattr(processes, "decode", decode_here)  # others import the module again
    describer = PortableDescriber(folder / "processes")
    executor = ProcessExecutor(2, first=4)
    found = lines(list(executor.describe(walk([folder / "photos"]), describer, workers=1)))
    assert found == in_threads(folder)
    assert 4 <= len(here) < 20


def test_photos_of_killed_processes_are_described_in_this_one(folder: Path) -> None:
    describer = PortableDescriber(folder / "processes", deadly="020.jpg")
    assert in_processes(folder, describer, 2) == in_threads(folder)
    assert (folder / "processes/killed").exists()


def test_a_describer_that_cannot_be_sent_describes_here(folder: Path) -> None:
    describer = RecordingDescriber()
    executor = ProcessExecutor(2, first=0)
    assert lines(list(executor.describe(walk([folder / "photos"]), describer))) == in_threads(
        folder
    )
    assert describer.described == 28


SCRIPT = """
import sys
from itertools import repeat
from pathlib import Path
from portable_describer import PortableDescriber
from captioner.execution.processes import ProcessExecutor
from captioner.photos.walk import walk

if __name__ == "__main__":
    [photo] = walk([Path(sys.argv[1])])
    describer = PortableDescriber(Path(sys.argv[2]))
    for number, _ in enumerate(ProcessExecutor(2, first=0).describe(repeat(photo), describer)):
        if number == 20:
            print("running", flush=True)
"""


@pytest.mark.posix
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_they_end_with_the_process_that_started_them(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, photo(folder / "a.jpg", "red"), folder / "processes"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGKILL)
        process.stdout.read()  # ends when no process holds its other end
    finally:
        process.kill()
