"""The page "Statistics": charts whose every part leads to the photos that it counts."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import web_pages
from fake_descriptions import description
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.types import Facts

CAMERA = '<b>"Leica" & Söhne</b>'


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "captioner.db"
    with Index.open(path, write=True) as index:
        index.store(
            [
                replace(
                    description(f"trips/{number}.jpg", keywords=["dog"]),
                    facts=Facts(
                        f"{2019 + number}-05-06T07:08:09",
                        camera=CAMERA,
                        lens="50 mm",
                        latitude=47.37,
                        longitude=8.54,
                    ),
                )
                for number in range(4)
            ],
            "m",
        )
    return path


def links(text: str) -> list[dict[str, list[str]]]:
    found = re.findall(r'<a href="(/\?[^"]+)"', text)
    return [parse_qs(urlsplit(html.unescape(one)).query) for one in found]


def test_every_bar_leads_to_a_search(client: TestClient) -> None:
    text = client.get("/statistics").text
    found = links(text)
    assert {"after": ["2019"], "before": ["2020"]} in found
    assert {"keyword": ["dog"]} in found
    assert {"camera": [f'"{CAMERA}"']} in found
    assert {"lens": ['"50 mm"']} in found
    assert {"confidence": ["0.5,0.55"]} in found
    [near] = {one["near"][0] for one in found if "near" in one}
    assert near.startswith("47.37000,8.54000,")
    assert "<b>" not in text
    assert CAMERA in html.unescape(text)


def test_a_search_finds_as_many_photos_as_its_bar_counts(client: TestClient) -> None:
    text = client.get("/statistics").text
    bars = re.findall(r'<a href="(/\?[^"]+)">[^<]*</a></th>.*?<td class="number">([\d,]+)<', text)
    assert len(bars) >= 10
    for address, number in bars:
        found = client.get("/api/search?" + urlsplit(html.unescape(address)).query)
        assert found.status_code == 200, found.text
        assert found.json()["total"] == int(number), address


def test_few_years_are_drawn_by_month(client: TestClient, database: Path) -> None:
    with Index.open(database, write=True) as index:
        gone = [one for one in index.photos_at(Path("/photos")) if one.path.stem in "23"]
        index.delete(gone)
    found = links(client.get("/statistics").text)
    assert {"after": ["2019-05"], "before": ["2019-06"]} in found
    assert {"after": ["2019-12"], "before": ["2020-01"]} in found


def test_numbers_are_those_of_now(client: TestClient, database: Path) -> None:
    assert "<dt>described</dt><dd>4</dd>" in client.get("/statistics").text
    with Index.open(database, write=True) as index:
        index.store([description("trips/new.jpg")], "m")
    assert "<dt>described</dt><dd>5</dd>" in client.get("/statistics").text


def test_an_empty_library_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with Index.open(path, write=True):
        pass
    with web_pages.client(path) as client:
        text = client.get("/statistics").text
    assert "Index a folder" in text
    assert "<svg" not in text
