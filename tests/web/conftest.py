"""What the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs captioner[web]")
pytest.importorskip("httpx", reason="needs captioner[dev]")

import web_pages
from starlette.testclient import TestClient


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return web_pages.library(tmp_path)


@pytest.fixture
def client(database: Path) -> Iterator[TestClient]:
    with web_pages.client(database) as one:
        yield one
