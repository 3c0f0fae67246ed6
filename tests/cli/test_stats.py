"""The index counted from many sides, for a person and for programs."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fake_descriptions import description, failure, photo
from typer.testing import CliRunner

from captioner.cli import console
from captioner.cli.app import app
from captioner.index import Index, Statistics
from captioner.index.statistics import FailureReason
from captioner.types import Facts

BEACH = Facts("2024-05-06T07:08:09", None, "Canon EOS R6", None, 54.9, 8.3, "Sylt", ("sea",))
OLD = Facts("1999-12-31T23:59:59", None, "[bold]\x1b[2J", None, None, None, None, ())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "captioner.db"
    results = [
        replace(description("a.jpg", keywords=["dog", "sea"]), captions=(), facts=BEACH),
        replace(description("b.jpg", keywords=["dog"]), captions=(), facts=OLD),
        replace(description("c.png"), format="PNG"),
    ]
    with Index.open(path, write=True) as index:
        index.store(results, "old")
        index.store([description("c.jpg"), description("d.jpg")], "new")
        index.store([failure("1.jpg", "it is 9 × 12,000 pixels.")], "new")
        index.store([failure(photo(os.fsdecode(b"caf\xe9.jpg")), "it is empty.")], "new")
        index.store([failure("2.jpg", "it is 70 × 12,000 pixels.")], "new")
        index.set_caption(Path("/photos/a.jpg"), "Sylt")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE photos SET missing_since = '2026-01-01' WHERE path = ?", [b"/photos/d.jpg"]
        )
    return path


def test_statistics(database: Path) -> None:
    with Index.open(database) as index:
        found = index.statistics()
    assert found == Statistics(
        bytes=found.bytes, photos=8, described=5, wordless=1, failed=3, missing=1, ignored=0,
        edited=1, captioned=1, dated=2, placed=1,
        formats={"JPEG": 4, "PNG": 1},
        reasons=[
            FailureReason("it is 70 × 12,000 pixels.", 2, "/photos/2.jpg"),
            FailureReason("it is empty.", 1, os.fsdecode(b"/photos/caf\xe9.jpg")),
        ],
        keywords={"dog": 2, "sea": 1},
        cameras={"Canon EOS R6": 1, "[bold]\x1b[2J": 1},
        years={"2024": 1, "1999": 1},
        models={"old": 3, "new": 2},
    )  # fmt: skip
    assert found.bytes >= database.stat().st_size


def test_of_an_empty_index(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        found = index.statistics()
    assert (found.photos, found.reasons, found.models) == (0, [], {})
    result = CliRunner().invoke(app, ["stats", "--db", str(tmp_path / "captioner.db")])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{tmp_path / 'captioner.db'}  ")


def test_a_page_for_a_person(database: Path) -> None:
    page = CliRunner().invoke(app, ["stats", "--db", str(database), "-n", "1"]).stdout
    lines = page.splitlines()
    assert {"failed 3", "2 it is 70 × 12,000 pixels.", "/photos/2.jpg", "dog 2", "1 more"} <= {
        " ".join(line.split()) for line in lines
    }
    assert "\x1b" not in page
    assert all(line == line.rstrip() for line in lines)


def test_names_in_it_are_safe_to_look_at(database: Path) -> None:
    page = CliRunner().invoke(app, ["stats", "--db", str(database)]).stdout
    assert "[bold]\\x1b[2J  1" in page
    assert "/photos/caf\\xe9.jpg" in page


def test_json(database: Path) -> None:
    [line] = CliRunner().invoke(app, ["stats", "--json", "--db", str(database)]).stdout.splitlines()
    found = json.loads(line)
    assert found["database"] == str(database)
    assert found["reasons"][0] == {
        "text": "it is 70 × 12,000 pixels.", "photos": 2, "example": "/photos/2.jpg",
    }  # fmt: skip
    assert list(found["photos_by"]["model"]) == ["old", "new"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (3_400_000, "3.4 MB"),
        (2e11, "200 GB"),
        (4e12, "4.0 TB"),
    ],
)
def test_sizes(number: float, words: str) -> None:
    assert console.spell_bytes(number) == words
