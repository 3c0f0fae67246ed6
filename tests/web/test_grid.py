"""The grid's answers: results in their order, in parts, with filters, examples and suggestions."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import colour_describer
import numpy as np
import pytest
import web_pages
from PIL import Image
from starlette.testclient import TestClient

from captioner.types import QueryPlan
from captioner.web import results as results_module
from captioner.web.query import Query


def plan(query: str) -> QueryPlan | None:
    """A colour is in a photo if nearly all of it has it."""
    found = colour_describer.rank_colours(query)
    return found and replace(found, log_odds=lambda measures: measures.sum(axis=1) * 20 - 15)


@pytest.fixture(autouse=True)
def planner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "captioner.model.query.load_planner", lambda bundle=None: (colour_describer.MODEL_ID, plan)
    )


def names(answer: dict[str, object]) -> list[str]:
    return [photo["name"] for photo in answer["photos"]]  # type: ignore[attr-defined,index]


def test_without_words_all_photos_come(client: TestClient) -> None:
    found = client.get("/api/search").json()
    assert (found["total"], found["said"], found["advice"]) == (4, "4 photos.", "")
    assert found["groups"] == [["No date", 4]]
    assert names(found) == ["3-red.jpg", "2-blue.jpg", "1-green.jpg", "0-red.jpg"]
    [photo, *_] = found["photos"]
    assert photo["caption"] == "A red photo."
    assert (photo["kind"], photo["source"]) == ("sentence", "model")


def test_words_rank_and_have_no_date_groups(client: TestClient) -> None:
    found = client.get("/api/search", params={"q": "red"}).json()
    assert sorted(names(found)[:2]) == ["0-red.jpg", "3-red.jpg"]
    assert found["groups"] == []
    scores = [photo["score"] for photo in found["photos"]]
    assert scores == sorted(scores, reverse=True)


def test_parts_are_those_of_the_whole(client: TestClient) -> None:
    whole = client.get("/api/photos", params={"limit": 10}).json()
    parts = [client.get("/api/photos", params={"offset": n, "limit": 1}).json() for n in range(5)]
    assert [name for part in parts for name in names(part)] == names(whole)
    assert client.get("/api/photos", params={"offset": "x"}).status_code == 400
    assert client.get("/api/photos", params={"offset": -5, "limit": 10**9}).status_code == 200


def test_results_that_a_page_shows_stay_while_the_index_changes(
    client: TestClient, database: Path
) -> None:
    before = client.get("/api/search").json()
    colour_describer.photo(database.parent / "photos/9-blue.jpg", "blue")
    workspace = client.app.state.workspace
    from captioner.library import Library

    with Library.open(database, write=True, load=colour_describer.ColourDescriber) as library:
        library.index(database.parent / "photos")
    shown = client.get("/api/photos", params={"limit": 10}).json()
    assert names(shown) == names(before)
    assert shown["snapshot"] == before["snapshot"]
    after = client.get("/api/search").json()
    assert after["total"] == 5
    assert after["snapshot"] != before["snapshot"]
    assert workspace.jobs.all() == []


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"q": "-blue"}, {"0-red.jpg", "3-red.jpg"}),
        ({"keyword": "blue"}, {"1-green.jpg", "2-blue.jpg"}),
        ({"q": '"green photo"'}, {"1-green.jpg"}),
        ({"q": "photo", "exact": "1"}, {"0-red.jpg", "1-green.jpg", "2-blue.jpg", "3-red.jpg"}),
        ({"after": "2020"}, set()),
    ],
)
def test_filters_of_the_command_line(
    client: TestClient, parameters: dict[str, str], expected: set[str]
) -> None:
    found = client.get("/api/search", params=parameters).json()
    assert set(names(found)) == expected


def test_folder_filter(client: TestClient, database: Path) -> None:
    folder = str(database.parent / "photos")
    assert client.get("/api/search", params={"in": folder}).json()["total"] == 4
    assert client.get("/api/search", params={"in": f"{folder}/sub"}).json()["total"] == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"after": "soon"}, "is not a date"),
        ({"near": "1,2"}, "latitude"),
        ({"like": "x"}, "not the number"),
        ({"like": "999"}, "no photo number 999"),
        ({"example": "9"}, "gone"),
        ({"q": "x" * 3000}, "too long"),
        ({"q": '""'}, "empty"),
    ],
)
def test_what_is_wrong_is_said(
    client: TestClient, parameters: dict[str, str], message: str
) -> None:
    answer = client.get("/api/search", params=parameters)
    assert answer.status_code in (400, 404)
    assert message in answer.json()["error"]["message"]


def test_nothing_found_says_what_to_try(client: TestClient) -> None:
    found = client.get("/api/search", params={"after": "2020"}).json()
    assert (found["total"], found["said"]) == (0, "0 photos found.")
    assert found["advice"] == "No photo matches the filters: use fewer or broader ones."


def test_respelling_is_said(client: TestClient) -> None:
    found = client.get("/api/search", params={"q": "greeen"}).json()
    assert found["said"].startswith("Searched for “green” instead of “greeen”.")
    assert names(found)[0] == "1-green.jpg"


def test_photos_like_one_of_the_library(client: TestClient, database: Path) -> None:
    [first, *_] = web_pages.photo_numbers(database)
    found = client.get("/api/search", params={"like": first}).json()
    assert names(found)[0] == "3-red.jpg"
    assert "0-red.jpg" not in names(found)


def test_photos_like_one_from_elsewhere_alone_and_with_words(client: TestClient) -> None:
    content = io.BytesIO()
    Image.new("RGB", (30, 20), (10, 10, 200)).save(content, "PNG")
    example = client.post("/api/example", content=content.getvalue()).json()["example"]
    found = client.get("/api/search", params={"example": example}).json()
    assert names(found)[0] == "2-blue.jpg"
    both = client.get("/api/search", params={"example": example, "q": "photo -blue"}).json()
    assert "2-blue.jpg" not in names(both)
    assert set(names(both)) == {"0-red.jpg", "3-red.jpg"}


def test_keywords_are_suggested(client: TestClient) -> None:
    assert client.get("/api/suggestions", params={"start": "gr"}).json() == {"keywords": ["green"]}
    assert client.get("/api/suggestions", params={"start": ""}).json() == {"keywords": []}


def test_captions_of_persons_are_marked(client: TestClient, database: Path) -> None:
    with client.app.state.workspace.writer() as index:
        index.set_caption(database.parent / "photos/0-red.jpg", "Our <b>door</b>.")
    [*_, photo] = client.get("/api/search").json()["photos"]
    assert (photo["caption"], photo["source"]) == ("Our <b>door</b>.", "person")


def test_deleted_photos_leave_a_gap(client: TestClient, database: Path) -> None:
    client.get("/api/search")
    with client.app.state.workspace.writer() as index:
        index.delete(index.photos_at(database.parent / "photos/1-green.jpg"))
    shown = client.get("/api/photos", params={"limit": 4}).json()["photos"]
    assert [photo and photo["name"] for photo in shown] == [
        "3-red.jpg", "2-blue.jpg", None, "0-red.jpg",
    ]  # fmt: skip


def test_query_survives_the_address() -> None:
    from starlette.datastructures import QueryParams

    query = Query(
        "dog", True, ("/a", "/b"), "2020", "2021", "canon", "1,2,3", ("x", "y"), 5, "7",
        "50 mm", "0.5,0.9",
    )  # fmt: skip
    assert Query.of(QueryParams(query.parameters())) == query
    assert Query().parameters() == []


def test_few_photos_share_a_heading() -> None:
    months = np.array([202403] * 20 + [202402, 202401, 202312, 0, 0], np.int32)
    assert results_module._groups(months) == (
        ("March 2024", 20), ("December 2023 to February 2024", 3), ("No date", 2),
    )  # fmt: skip
    assert results_module._groups(months[21:22]) == (("January 2024", 1),)
    assert results_module._groups(months[20:22]) == (("January to February 2024", 2),)


def test_page_has_the_query_and_escapes_it(client: TestClient) -> None:
    page = client.get("/", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
    assert "&#34;&gt;&lt;script&gt;" in page
