"""Indexing while others watch: progress, problems as they come, stops that keep what is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from colour_describer import COLOURS, photo
from recording_describer import RecordingDescriber

from captioner.errors import CaptionerError, UsageError
from captioner.index import Index
from captioner.indexing import UpdateOptions
from captioner.indexing_run import IndexingRun, existing_folder
from captioner.types import Describer

SECONDS = 60.0


class Gate:
    """Lets a describer describe one batch after the other, when it is told to."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)

    def load(self) -> Describer:
        return RecordingDescriber(batch_size=2, before_describing=self._wait)

    def _wait(self, described: int) -> None:
        self.reached.release()
        assert self.opened.acquire(timeout=SECONDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(8):
        photo(tmp_path / f"photos/{number}.jpg", COLOURS[number % 3])
    return tmp_path / "photos"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "captioner.db"


Make = Callable[..., IndexingRun]


@pytest.fixture
def make(database: Path) -> Make:
    def make(
        *folders: Path, load: Callable[[], Describer] = RecordingDescriber, retry: bool = False
    ) -> IndexingRun:
        return IndexingRun(database, folders, load, options=UpdateOptions(retry_failed=retry))

    return make


def ended(run: IndexingRun) -> IndexingRun:
    run.run()
    assert run.progress().is_over
    return run


def test_a_folder_is_indexed_and_what_fails_is_said(
    make: Make, folder: Path, database: Path
) -> None:
    (folder / "3.jpg").write_bytes(b"")
    (folder / "link.jpg").symlink_to("nowhere")
    run = ended(make(folder))
    progress = run.progress()
    assert (progress.state, progress.total, progress.done, progress.found) == ("done", 8, 8, 8)
    assert progress.summary is not None
    assert (progress.summary.described, progress.summary.failed, progress.failed) == (7, 1, 1)
    problems, number = run.problems()
    assert number == progress.problems == 2
    assert {Path(one.path).name: one.is_photo for one in problems} == {
        "3.jpg": True,
        "link.jpg": False,
    }
    assert all(one.reason.endswith(".") for one in problems)
    assert run.problems(seen=1) == (problems[1:], 2)
    assert run.problems(seen=2) == ([], 2)
    with Index.open(database) as index:
        assert index.counts().described == 7


def test_progress_is_there_while_it_runs_and_a_stop_keeps_what_is_done(
    make: Make, folder: Path, database: Path
) -> None:
    gate, stop = Gate(), threading.Event()
    run = make(folder, load=gate.load)
    thread = threading.Thread(target=run.run, args=[stop.is_set])
    thread.start()
    assert gate.reached.acquire(timeout=SECONDS)
    gate.opened.release()
    assert gate.reached.acquire(timeout=SECONDS)  # the first two are described
    progress = run.progress()
    assert (progress.state, progress.total, progress.is_over) == ("running", 8, False)
    stop.set()
    for _ in range(4):
        gate.opened.release()
    thread.join(SECONDS)
    assert run.progress().state == "stopped"
    with Index.open(database) as index:
        stored = index.counts().described
    assert stored == run.progress().done
    assert 2 <= stored <= 8
    assert ended(make(folder)).progress().done == 8 - stored
    with Index.open(database) as index:
        assert index.counts().described == 8


def test_without_folders_all_that_were_indexed_are_indexed_again(make: Make, folder: Path) -> None:
    with pytest.raises(UsageError, match="no folder was indexed before"):
        make().run()
    ended(make(folder))
    (folder / "0.jpg").unlink()
    photo(folder / "new.jpg", "red")
    progress = ended(make()).progress()
    assert (progress.state, progress.folders) == ("done", (str(folder),))
    assert progress.summary is not None
    assert (progress.summary.described, progress.summary.missing) == (1, 1)


def test_failed_photos_are_tried_again_on_request(make: Make, folder: Path) -> None:
    (folder / "3.jpg").write_bytes(b"")
    ended(make(folder))
    assert ended(make(folder)).progress().failed == 0
    assert ended(make(folder, retry=True)).progress().failed == 1


def test_a_second_writer_is_named(make: Make, folder: Path, database: Path) -> None:
    run = make(folder)
    with Index.open(database, write=True), pytest.raises(CaptionerError):
        run.run()
    progress = run.progress()
    assert progress.state == "failed"
    assert "is being written to by process" in progress.reason
    assert progress.remedy.startswith("Wait until it has finished")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CaptionerError("the bundle is damaged.", "Install it again."), "the bundle is damaged."),
        (KeyError("bug"), "Unexpected KeyError: 'bug'."),
    ],
)
def test_an_error_ends_the_run_and_is_said(
    make: Make, folder: Path, error: Exception, reason: str
) -> None:
    def load() -> Describer:
        raise error

    run = make(folder, load=load)
    with pytest.raises(type(error)):
        run.run()
    assert (run.progress().state, run.progress().reason) == ("failed", reason)
    assert run.progress().remedy


def test_a_path_has_to_be_that_of_an_existing_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert existing_folder(f"  {folder} ") == folder
    assert existing_folder("~/photos") == folder
    for typed, reason in {
        "": "no folder was named",
        "photos": "is not a whole path",
        f"{folder}/none": "there is no such file or folder",
        f"{folder}/0.jpg": "is a file, not a folder",
        "s3://bucket/photos": "is not a folder of this computer",
        f"{folder}/\0": "null",
    }.items():
        with pytest.raises(UsageError, match=reason) as raised:
            existing_folder(typed)
        assert raised.value.remedy
