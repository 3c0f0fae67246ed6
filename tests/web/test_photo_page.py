"""One photo: what its page shows, and what can be changed from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import colour_describer
import pytest
import web_pages
from PIL import Image
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.library import Library


@pytest.fixture
def number(database: Path) -> int:
    """Of the red photo, whose file is `photo`."""
    return web_pages.photo_numbers(database)[0]


@pytest.fixture
def photo(database: Path) -> Path:
    return database.parent / "photos/0-red.jpg"


def post(client: TestClient, path: str, **content: object) -> dict[str, object]:
    answer = client.post(path, json=content)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_page_shows_facts_and_a_map(
    client: TestClient, database: Path, number: int, photo: Path
) -> None:
    exif = Image.Exif()
    exif[0x0110] = "EOS <script>alert(1)</script>"
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0), 3: "E", 4: (8.0, 33.0, 0.0)}
    Image.new("RGB", (64, 32), "red").save(photo, exif=exif)
    with Library.open(database, write=True, load=colour_describer.ColourDescriber) as library:
        library.index(photo)
    page = client.get(f"/photo/{number}").text
    assert "64 × 32 pixels" in page
    assert "EOS &lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "47.3667° N, 8.5500° E" in page
    assert re.search(r'<path class="land" fill-rule="evenodd" d="M-?\d', page)
    assert 'width="64" height="32"' in page


def test_identical_files_are_linked(database: Path, photo: Path) -> None:
    copy = photo.with_name("copy.jpg")
    copy.write_bytes(photo.read_bytes())
    with Library.open(database, write=True, load=colour_describer.ColourDescriber) as library:
        library.index(photo.parent)
    numbers = web_pages.photo_numbers(database)
    with web_pages.client(database) as client:
        page = client.get(f"/photo/{numbers[0]}").text
        [other] = re.findall(r'<li><a href="/photo/(\d+)">.*copy\.jpg</a>', page)
        assert client.get(f"/photo/{other}").status_code == 200


def test_every_sentence_that_the_model_considered(client: TestClient, number: int) -> None:
    found = client.get(f"/api/photo/{number}/suggestions").json()
    assert found["model"] == "c0104e5c0104"
    assert [(one["text"], one["trusted"]) for one in found["suggestions"]] == [
        ("A red photo.", True), ("A green photo.", False), ("A blue photo.", False),
    ]  # fmt: skip
    assert found["suggestions"][0]["confidence"] > 0.8


def test_suggestions_do_not_open_the_photo(client: TestClient, number: int, photo: Path) -> None:
    photo.unlink()
    assert client.get(f"/api/photo/{number}/suggestions").status_code == 200


def test_suggestions_of_another_encoder_are_refused_in_words(
    client: TestClient, number: int, database: Path
) -> None:
    with client.app.state.workspace.suggester() as model:
        type(model).encoder_id, before = "another", type(model).encoder_id
    try:
        answer = client.get(f"/api/photo/{number}/suggestions")
    finally:
        type(model).encoder_id = before
    assert answer.status_code == 400
    assert "would have to read the photo" in answer.json()["error"]["message"]


def test_a_caption_is_kept_and_removed(client: TestClient, number: int, database: Path) -> None:
    found = post(client, f"/api/photo/{number}/caption", text="Rex <b>at</b>\nhome")
    assert found["caption"] == {
        "text": "Rex <b>at</b> home", "kind": "sentence", "source": "person", "confidence": None,
    }  # fmt: skip
    with Library.open(database, write=True, load=colour_describer.ColourDescriber) as library:
        library.index(database.parent / "photos")
    page = client.get(f"/photo/{number}").text
    assert "Rex &lt;b&gt;at&lt;/b&gt; home" in page
    found = post(client, f"/api/photo/{number}/caption", text="")
    assert found["caption"]["source"] == "model"
    assert [one["source"] for one in found["captions"]] == ["model"]


def test_keywords_are_added_removed_and_found(
    client: TestClient, number: int, database: Path
) -> None:
    found = client.get(f"/api/photo/{number}").json()
    assert [one["word"] for one in found["keywords"]] == ["red", "green"]
    found = post(client, f"/api/photo/{number}/keywords", add=["Sylt"], remove=["green"])
    assert [one["word"] for one in found["keywords"]] == ["red"]
    assert (found["edited_keywords"], found["rejected_keywords"]) == (["Sylt"], ["green"])
    with Index.open(database) as index:
        assert [hit.id for hit in index.search("sylt")] == [number]


@pytest.mark.parametrize("in_place", [False, True])
def test_writing_and_undoing(client: TestClient, number: int, photo: Path, in_place: bool) -> None:
    before = photo.read_bytes()
    post(client, f"/api/photo/{number}/caption", text="Rex at home")
    post(client, f"/api/photo/{number}/keywords", add=["Sylt"])
    said = post(client, f"/api/photo/{number}/write", in_place=in_place, keywords=True)
    name = "0-red.jpg" if in_place else "0-red.jpg.xmp"
    assert said == {"state": "written", "message": f"Written to {name}."}
    found = client.get(f"/api/photo/{number}/files").json()
    said_by = {(one["file"], one["text"]): one["source"] for one in found["statements"]}
    assert said_by[name, "Rex at home"] == "person"
    assert said_by[name, "Sylt"] == "person"
    assert said_by[name, "red, green"] == "model"
    again = post(client, f"/api/photo/{number}/write", in_place=in_place, keywords=True)
    assert again["state"] == "same"
    undone = post(client, f"/api/photo/{number}/undo")
    assert name in str(undone["message"])
    assert photo.read_bytes() == before
    assert not photo.with_name("0-red.jpg.xmp").exists()
    answer = client.post(f"/api/photo/{number}/undo", json={})
    assert answer.status_code == 400
    assert "nothing to undo" in answer.json()["error"]["message"]


def test_a_changed_photo_is_not_written(client: TestClient, number: int, photo: Path) -> None:
    photo.write_bytes(photo.read_bytes() + b"\0")
    answer = client.post(f"/api/photo/{number}/write", json={"in_place": False})
    assert answer.status_code == 400
    assert answer.json()["error"]["remedy"] == "Index its folder again."
    photo.unlink()
    answer = client.post(f"/api/photo/{number}/write", json={"in_place": False})
    assert answer.status_code == 422


def test_a_caption_by_a_person_in_the_file_stays(
    client: TestClient, number: int, photo: Path
) -> None:
    sidecar = photo.with_name("0-red.xmp")
    sidecar.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description>Rex</dc:description>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    said = post(client, f"/api/photo/{number}/write", in_place=False)
    assert said["state"] == "skipped"
    assert "“Rex”" in str(said["message"])


def test_writing_waits_for_no_run_that_indexes(client: TestClient, number: int) -> None:
    with client.app.state.workspace.writer():
        post(client, f"/api/photo/{number}/keywords", add=["Sylt"])
        answer = client.post(f"/api/photo/{number}/write", json={})
    assert answer.status_code == 503
    assert "is being written to" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"text": 1}', b'{"text": null}', json.dumps({"text": "x" * 10_001})],
)
def test_odd_bodies_are_refused(client: TestClient, number: int, content: bytes) -> None:
    answer = client.post(f"/api/photo/{number}/caption", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_neighbours_are_those_of_the_results(client: TestClient, database: Path) -> None:
    numbers = web_pages.photo_numbers(database)

    def ask(number: int, **query: object) -> dict[str, object]:
        answer = client.get(f"/api/photo/{number}/neighbours", params=query)
        return dict(answer.json())

    newest = numbers[::-1]
    first = ask(newest[0], at=0)
    assert (first["position"], first["total"], first["previous"]) == (0, 4, None)
    assert first["next"] == {"number": newest[1], "query": "at=1"}
    last = ask(newest[3], at="odd")
    assert (last["position"], last["next"]) == (3, None)
    assert last["previous"] == {"number": newest[2], "query": "at=2"}
    red = ask(numbers[0], keyword="green")
    assert red["next"] is None or "keyword=green&at=" in str(red["next"])
    elsewhere = ask(numbers[0], **{"in": str(database.parent / "photos")}, after="2020")
    assert (elsewhere["position"], elsewhere["total"]) == (None, 0)
    page = client.get(f"/photo/{numbers[0]}?keyword=red&at=3&odd=<b>").text
    assert 'href="/?keyword=red"' in page


@pytest.mark.parametrize("part", ["", "/suggestions", "/files"])
def test_unknown_photos(client: TestClient, part: str) -> None:
    assert client.get(f"/api/photo/9999{part}").status_code == 404
    assert client.post("/api/photo/9999/caption", json={"text": "x"}).status_code == 404
