"""The application: every page answers, errors are plain, jobs run and end with the server."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest
import web_pages
from PIL import Image
from starlette.routing import Route
from starlette.testclient import TestClient

from captioner.errors import CaptionerError, DatabaseUnavailableError
from captioner.web import pages
from captioner.web.jobs import Job, Jobs
from captioner.web.workspace import ensure_database


@pytest.mark.parametrize("link", pages.navigation(), ids=lambda link: link.title)
def test_every_page_has_its_heading_and_navigation(client: TestClient, link: pages.Link) -> None:
    page = client.get(link.path)
    assert page.status_code == 200
    assert page.text.count("<h1") == 1
    assert f'<a href="{link.path}" aria-current="page">{link.title}</a>' in page.text


def test_photo_is_shown_by_its_number(client: TestClient, database: Path) -> None:
    [first, *_] = web_pages.photo_numbers(database)
    page = client.get(f"/photo/{first}")
    assert page.status_code == 200
    assert "0-red.jpg" in page.text


def test_thumbnail_is_a_small_upright_jpeg_without_metadata(
    client: TestClient, database: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret place"  # turned by 90 degrees
    folder = database.parent / "photos"
    Image.new("RGB", (900, 600), "green").save(folder / "0-red.jpg", exif=exif)
    [first, *_] = web_pages.photo_numbers(database)
    answer = client.get(f"/thumbnail/{first}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"secret" not in answer.content
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (213, 320)
        assert not picture.getexif()


def test_cached_thumbnail_needs_no_photo(client: TestClient, database: Path) -> None:
    [first, *_] = web_pages.photo_numbers(database)
    made = client.get(f"/thumbnail/{first}")
    (database.parent / "photos/0-red.jpg").unlink()
    assert client.get(f"/thumbnail/{first}").content == made.content
    again = client.get(f"/thumbnail/{first}", headers={"If-None-Match": made.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"/large/{first}").status_code == 422  # which is not cached


def test_original_is_the_file_and_never_a_page(client: TestClient, database: Path) -> None:
    [first, second, *_] = web_pages.photo_numbers(database)
    photo = database.parent / "photos/0-red.jpg"
    answer = client.get(f"/original/{first}")
    assert answer.content == photo.read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"
    (database.parent / "photos/1-green.jpg").write_bytes(b"<script>alert(1)</script>")
    answer = client.get(f"/original/{second}")
    assert answer.status_code == 422
    assert b"<script>alert" not in answer.content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/thumbnail/999", 404),
        ("/photo/999", 404),
        ("/photo/-1", 404),
        ("/thumbnail/..%2f..%2fetc%2fpasswd", 404),
        ("/thumbnail/99999999999999999999999999", 404),
        ("/static/../app.py", 404),
        ("/static/..%2f__init__.py", 404),
        ("/nothing", 404),
    ],
)
def test_what_is_not_there_is_said_in_words(client: TestClient, path: str, status: int) -> None:
    page = client.get(path)
    assert page.status_code == status
    assert "There is no" in page.text
    assert "Traceback" not in page.text


def test_errors_of_the_api_have_a_message_and_a_remedy(client: TestClient) -> None:
    answer = client.get("/api/nothing")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"message": "There is no such page.", "remedy": "Choose one above."}
    }


def test_bug_is_no_traceback(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: object) -> None:
        raise ZeroDivisionError("secret")

    client.app.router.routes.append(Route("/api/broken", broken))
    answer = client.get("/api/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "ZeroDivisionError while this was made."
    assert "content-security-policy" in answer.headers


def test_names_and_captions_are_escaped(tmp_path: Path) -> None:
    database = web_pages.library(tmp_path)
    name = database.parent / "photos/0-red.jpg"
    odd = name.with_name("<script>alert(1)<!--.jpg")
    name.rename(odd)
    with web_pages.workspace(database).writer() as index:
        index.set_caption(name, "<img src=x onerror=alert(2)>")
    with web_pages.client(database) as client:
        [first, *_] = web_pages.photo_numbers(database)
        page = client.get(f"/photo/{first}").text
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<img src=x" not in page


def test_job_reports_and_ends() -> None:
    jobs = Jobs()

    def run(job: Job) -> None:
        job.report(done=1)
        job.report(total=2)

    job = jobs.start("counting", run)
    assert job.join(30)
    assert job.status.state == "done"
    assert job.status.progress == {"done": 1, "total": 2}


def test_failed_job_says_why() -> None:
    def run(job: Job) -> None:
        raise CaptionerError("it is broken.", "Mend it.")

    job = Jobs().start("breaking", run)
    assert job.join(30)
    assert (job.status.state, job.status.message, job.status.remedy) == (
        "failed", "it is broken.", "Mend it.",
    )  # fmt: skip


def test_jobs_end_with_the_server(database: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def run(job: Job) -> None:
        begun.set()
        while not job.stop_requested():
            threading.Event().wait(0.01)
        ended.set()

    with web_pages.client(database) as client:
        jobs = client.app.state.workspace.jobs
        job = jobs.start("waiting", run)
        assert begun.wait(30)
    assert ended.is_set()
    assert job.status.state == "stopped"
    with pytest.raises(CaptionerError, match="stopping"):
        jobs.start("late", run)


def test_reading_never_waits_for_a_writer(client: TestClient, database: Path) -> None:
    workspace = client.app.state.workspace
    [first, *_] = web_pages.photo_numbers(database)
    with workspace.writer():
        assert client.get(f"/photo/{first}").status_code == 200
        with pytest.raises(DatabaseUnavailableError), workspace.writer():
            pass


def test_photos_of_several_indexes_have_numbers_of_their_own(tmp_path: Path) -> None:
    databases = [web_pages.library(tmp_path / name) for name in ("one", "two")]
    workspace = web_pages.workspace(databases[0])
    workspace = type(workspace)(
        databases, load=lambda options: None, thumbnails=workspace.thumbnails
    )  # type: ignore[arg-type,return-value]
    with workspace.reader() as reader:
        paths = [reader.photo(number).path for number in range(2, 10)]
        assert [path.parent.parent.name for path in paths] == ["one", "two"] * 4
        found = reader.hits([5, 2, 4])
        assert [number for number, _ in found] == [5, 2, 4]
        assert [Path(hit.path).parent.parent.name for _, hit in found] == ["two", "one", "one"]
    workspace.close()


def test_missing_database_is_created_empty(tmp_path: Path) -> None:
    ensure_database(tmp_path / "new/captioner.db")
    with web_pages.client(tmp_path / "new/captioner.db") as client:
        assert client.get("/").status_code == 200
