"""The page "Library": folders are indexed once confirmed, and what is known of them is listed."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import web_pages
from colour_describer import photo
from recording_describer import RecordingDescriber
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.web.app import create_app
from captioner.web.security import Access
from captioner.web.workspace import Workspace

SECONDS = 60.0
MANY = 60
"""More photos than are decoded ahead."""
NASTY = "<script>alert(1)<.jpg"


def last_event(client: TestClient) -> dict[str, Any]:
    """Follow the events to their end; the last one has to be that of a run that is over."""
    text = client.get("/api/library/progress").text
    found = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert all(not one["over"] for one in found[:-1])
    assert found[-1]["over"]
    problems = [problem for one in found for problem in one["new_problems"]]
    return {**found[-1], "new_problems": problems}


def start(client: TestClient, **content: object) -> None:
    answer = client.post("/api/library/index", json={"confirmed": True, **content})
    assert answer.status_code == 202, answer.text


def test_a_folder_is_indexed_and_listed(client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    photo(folder / "new.jpg", "green")
    (folder / NASTY).write_bytes(b"no photo")
    checked = client.post("/api/library/check", json={"folder": str(folder)}).json()
    assert checked == {"folder": str(folder), "known": False}
    start(client, folder=str(folder))
    event = last_event(client)
    assert (event["state"], event["done"], event["total"], event["failed"]) == ("done", 2, 2, 1)
    assert event["summary"].startswith("1 described, 1 could not be read, in ")
    [problem] = event["new_problems"]
    assert problem["path"].endswith(NASTY)
    assert "text, not a picture" in problem["reason"]
    assert str(folder) in event["roots"]
    assert str(folder) in client.get("/library").text
    assert client.post("/api/library/check", json={"folder": str(folder)}).json()["known"]
    failures = client.get("/library/failures").text
    assert "&lt;script&gt;alert(1)&lt;.jpg" in failures
    assert "<script>alert" not in failures
    assert "text, not a picture" in failures


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"folder": "/nowhere", "confirmed": True}, "no such file or folder"),
        ({"folder": "photos", "confirmed": True}, "not a whole path"),
        ({"folder": "s3://bucket/photos", "confirmed": True}, "not a folder of this computer"),
        ({"folder": ["/"], "confirmed": True}, "makes no sense"),
        ({"folder": "/"}, "not confirmed"),
        ({"folder": "/", "confirmed": "yes"}, "not confirmed"),
        ([], "makes no sense"),
    ],
)
def test_nothing_is_indexed_that_was_not_named_and_confirmed(
    client: TestClient, content: object, reason: str
) -> None:
    answer = client.post("/api/library/index", json=content)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]
    assert client.get("/api/library/progress").text.count("data:") == 0


class Gate:
    """A model that describes a batch when it is told to."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Semaphore(0), threading.Semaphore(0)

    def load(self, options: object) -> RecordingDescriber:
        return RecordingDescriber(batch_size=1, ahead=0, before_describing=self._wait)

    def _wait(self, described: int) -> None:
        self.reached.release()
        assert self.opened.acquire(timeout=SECONDS)


@contextmanager
def gated(database: Path) -> Iterator[tuple[TestClient, Gate]]:
    gate = Gate()
    app = create_app(Workspace([database], load=gate.load), Access(web_pages.PORT))
    with TestClient(app, web_pages.ADDRESS) as client:
        web_pages.sign_in(client)
        try:
            yield client, gate
        finally:
            for _ in range(MANY):
                gate.opened.release()


def test_one_run_at_a_time_which_can_be_stopped_and_keeps_what_is_done(
    database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "more"
    for number in range(MANY):
        photo(folder / f"{number}.jpg", "red")
    with gated(database) as (client, gate):
        start(client, folder=str(folder))
        assert gate.reached.acquire(timeout=SECONDS)
        again = client.post("/api/library/index", json={"confirmed": True})
        assert again.status_code == 400
        assert "already" in again.json()["error"]["message"]
        assert 'data-running="yes"' in client.get("/library").text
        assert client.post("/api/library/stop").status_code == 202
        for _ in range(MANY):
            gate.opened.release()
        event = last_event(client)
        assert event["state"] == "stopped"
        assert "what was done is kept" in event["summary"]
    with Index.open(database) as index:
        stored = index.counts().described - len(web_pages.COLOURS)
    assert stored == event["done"]
    assert 1 <= stored < MANY


def test_a_run_goes_on_without_anyone_watching_and_ends_with_the_server(
    database: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "more"
    for number in range(6):
        photo(folder / f"{number}.jpg", "red")
    with gated(database) as (client, gate):
        start(client, folder=str(folder))
        assert gate.reached.acquire(timeout=SECONDS)
        gate.opened.release()
        assert gate.reached.acquire(timeout=SECONDS)
        # Nobody has asked for progress until now; a page that attaches gets all of it.
        workspace: Workspace = client.app.state.workspace  # type: ignore[attr-defined]
        progress = workspace.indexer.progress()
        assert progress is not None
        assert (progress.state, progress.total) == ("running", 6)
    assert not workspace.indexer.is_running
    with Index.open(database, write=True) as index:  # the lock is free, the database whole
        assert index.counts().described > len(web_pages.COLOURS)


def test_another_writer_is_named(client: TestClient, database: Path, tmp_path: Path) -> None:
    photo(tmp_path / "more/new.jpg", "red")
    with Index.open(database, write=True):
        start(client, folder=str(tmp_path / "more"))
        event = last_event(client)
    assert event["state"] == "failed"
    assert "is being written to by process" in event["error"]
    assert "Wait until it has finished" in event["error"]


def test_failed_photos_are_tried_again(client: TestClient, tmp_path: Path) -> None:
    broken = tmp_path / "photos/broken.jpg"
    broken.write_bytes(b"")
    start(client)
    assert last_event(client)["failed"] == 1
    start(client, retry_failed=True)
    assert last_event(client)["failed"] == 1
    start(client)
    assert last_event(client)["failed"] == 0


def test_duplicates_are_side_by_side(client: TestClient, tmp_path: Path) -> None:
    assert "No two files" in client.get("/library/duplicates").text
    shutil.copy(tmp_path / "photos/0-red.jpg", tmp_path / "photos/copy.jpg")
    start(client)
    last_event(client)
    text = client.get("/library/duplicates").text
    assert "1 photo in more than one file: 1 extra file" in text
    assert text.count('<img src="/thumbnail/') == 2
    assert "0-red.jpg" in text
    assert "copy.jpg" in text
    assert f"{time.localtime().tm_year}-" in text
    for asked in ("0", "99", "x", "-1"):
        assert client.get(f"/library/duplicates?page={asked}").status_code == 200


def test_missing_photos_are_listed_with_the_reason(client: TestClient, tmp_path: Path) -> None:
    assert "No photo is missing" in client.get("/library/missing").text
    (tmp_path / "photos/0-red.jpg").unlink()
    (tmp_path / "photos/.captionerignore").write_text("1-*\n")
    start(client)
    assert "1 gone, 1 now ignored" in last_event(client)["summary"]
    text = client.get("/library/missing").text
    assert "The file is gone" in text
    assert ".captionerignore" in text
    assert "A red photo." in text
