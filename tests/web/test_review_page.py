"""The review: its queues, decisions, undoing, disagreements and the export of corrections."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import colour_describer
import numpy as np
import pytest
import web_pages
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.model.describer import Suggestion
from captioner.model.options import DescribeOptions
from captioner.rendering.thumbnails import ThumbnailCache
from captioner.training.corpora import read_corpus
from captioner.types import FloatArray
from captioner.web.app import create_app
from captioner.web.security import Access
from captioner.web.workspace import Workspace


class Contrary(colour_describer.ColourDescriber):
    """Another model with the same encoder, which takes red for green."""

    model_id = "c0014a41c001"

    def suggestions(self, features: FloatArray) -> list[list[Suggestion]]:
        swapped = np.array(features)
        swapped[:, :2] = features[:, 1::-1]
        return super().suggestions(swapped)


class Other(Contrary):
    """A model with an encoder of its own."""

    encoder_id = "another"


@pytest.fixture
def second() -> type[colour_describer.ColourDescriber]:
    return Contrary


@pytest.fixture
def two(database: Path, second: type) -> Iterator[TestClient]:
    """The page with two models."""
    folders = [database.parent / "one", database.parent / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "bundle.json").touch()
    options = [DescribeOptions(bundle=folder) for folder in folders]

    def load(chosen: DescribeOptions) -> colour_describer.ColourDescriber:
        return (colour_describer.ColourDescriber if chosen is options[0] else second)()

    workspace = Workspace([database], options, load, ThumbnailCache(database.parent / "thumbnails"))
    app = create_app(workspace, Access(web_pages.PORT))
    with TestClient(app, web_pages.ADDRESS, raise_server_exceptions=False) as client:
        web_pages.sign_in(client)
        yield client


def ask(client: TestClient, queue: str) -> dict:
    answer = client.get("/api/review", params={"queue": queue})
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(client: TestClient, action: str, **content: object) -> dict:
    answer = client.post(f"/api/review/{action}", json=content)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_session_of_the_least_certain(client: TestClient, database: Path) -> None:
    seen = []
    found = ask(client, "uncertain")
    assert found["sentences"][0]["text"] == found["photo"]["caption"]
    assert len(found["sentences"]) == 3
    while found["photo"]:
        number = found["photo"]["number"]
        assert found["then"] != number
        seen.append(number)
        if len(seen) == 1:
            post(client, "skip", number=number)
        elif len(seen) == 2:
            post(client, "decide", number=number, text="Rex", outcome="corrected")
        else:
            text = found["sentences"][0]["text"]
            post(client, "decide", number=number, text=text, outcome="accepted")
        found = ask(client, "uncertain")
    assert sorted(seen) == web_pages.photo_numbers(database)
    assert found["progress"] == {"accepted": 2, "corrected": 1, "skipped": 1}
    assert client.get("/api/review/left").json() == {"uncertain": 1, "wordless": 0}
    with Index.open(database) as index:
        assert len(index.corrections()) == 3


def test_undoing_brings_the_photo_back(client: TestClient) -> None:
    first = ask(client, "uncertain")["photo"]
    post(client, "decide", number=first["number"], text="Rex", outcome="corrected")
    found = post(client, "undo")
    assert found["photo"] == first
    assert found["undone"] == {"outcome": "corrected", "text": "Rex"}
    assert found["progress"] == {"accepted": 0, "corrected": 0, "skipped": 0}
    assert ask(client, "uncertain")["photo"] == first
    answer = client.post("/api/review/undo", json={})
    assert answer.status_code == 400


def test_photos_without_a_trusted_sentence_are_a_queue(client: TestClient, database: Path) -> None:
    assert ask(client, "wordless")["photo"] is None
    [first, *_] = web_pages.photo_numbers(database)
    with client.app.state.workspace.writer() as index:
        index._connection.execute("DELETE FROM captions WHERE photo = ?", [first])
        index._connection.commit()
    found = ask(client, "wordless")
    assert found["photo"]["number"] == first
    assert found["photo"]["caption"] == ""
    assert found["sentences"]


def test_models_that_disagree(two: TestClient, database: Path) -> None:
    red_and_green = [web_pages.photo_numbers(database)[k] for k in (0, 1, 3)]
    seen = []
    while photo := (found := ask(two, "disagreements"))["photo"]:
        seen.append(photo["number"])
        assert {(one["text"], one["model"]) for one in found["sentences"]} in (
            {("A red photo.", "one"), ("A green photo.", "two")},
            {("A green photo.", "one"), ("A red photo.", "two")},
        )
        post(two, "decide", number=seen[-1], text="A red photo.", outcome="accepted")
    assert found["finished"]
    assert sorted(seen) == red_and_green


def test_both_models_suggest(two: TestClient) -> None:
    found = ask(two, "uncertain")
    models = {one["text"]: one["model"] for one in found["sentences"]}
    assert models == dict.fromkeys(("A red photo.", "A green photo.", "A blue photo."), "one, two")


@pytest.mark.parametrize("second", [Other])
def test_models_of_different_encoders_are_refused_in_words(two: TestClient) -> None:
    answer = two.get("/api/review", params={"queue": "disagreements"})
    assert answer.status_code == 400
    assert "read the photos themselves" in answer.json()["error"]["message"]
    found = ask(two, "uncertain")
    assert {one["model"] for one in found["sentences"]} == {"one"}
    assert found["note"].startswith("two: ")


def test_one_model_cannot_disagree(client: TestClient) -> None:
    answer = client.get("/api/review", params={"queue": "disagreements"})
    assert answer.status_code == 400
    assert "--model" in answer.json()["error"]["remedy"]


def test_corrections_are_downloaded_as_a_corpus(
    client: TestClient, database: Path, tmp_path: Path
) -> None:
    answer = client.get("/review/corrections.zip")
    assert answer.status_code == 400
    assert "No photo has a caption of yours" in answer.text
    number = ask(client, "uncertain")["photo"]["number"]
    post(client, "decide", number=number, text="Rex, <at> home", outcome="corrected")
    answer = client.get("/review/corrections.zip")
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "corpus")
    [example] = read_corpus(tmp_path / "corpus").photos
    assert example.captions == ("Rex, <at> home",)


@pytest.mark.parametrize(
    ("action", "content"),
    [
        ("decide", {"number": "1", "text": "x", "outcome": "accepted"}),
        ("decide", {"number": 1, "text": "x", "outcome": "skipped"}),
        ("decide", {"number": 1, "text": " ", "outcome": "accepted"}),
        ("decide", {"number": True, "text": "x", "outcome": "accepted"}),
        ("skip", {}),
    ],
)
def test_odd_requests_are_refused(client: TestClient, action: str, content: dict) -> None:
    assert client.post(f"/api/review/{action}", json=content).status_code == 400
    assert client.get("/api/review", params={"queue": "others"}).status_code == 400
