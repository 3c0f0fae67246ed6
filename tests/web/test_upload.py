"""The page "Upload": each model's words on a photo that is not kept; whatever else is refused."""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path

import pytest
import web_pages
from colour_describer import ColourDescriber
from PIL import Image
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.model.options import DescribeOptions
from captioner.web.app import create_app
from captioner.web.pages import upload as page
from captioner.web.security import Access, RefusedError
from captioner.web.workspace import Workspace


def picture(format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (200, 60, 20)).save(file, format)
    return file.getvalue()


def test_the_page_says_that_nothing_is_kept_and_what_is_allowed(client: TestClient) -> None:
    text = client.get("/upload").text
    assert "Nothing of them is kept" in text
    assert 'href="/library"' in text
    assert "256 MB and 268 megapixels" in text
    assert ".heic" in text


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_is_described_and_forgotten(
    client: TestClient, database: Path, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(kept))
    before = sorted(database.parent.iterdir())
    answer = client.post("/api/upload", content=picture(format))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert (made["format"], made["width"], made["height"]) == (format, 60, 40)
    [result] = made["results"]
    assert result["trusted"]
    assert result["captions"][0]["text"] == "A red photo."
    assert len(result["captions"]) == 3
    assert [one["word"] for one in result["keywords"]] == ["red", "green"]
    assert made["seconds"] >= 0
    assert result["seconds"] >= 0
    assert sorted(database.parent.iterdir()) == before
    assert not list(kept.iterdir())
    with Index.open(database) as index:
        assert index.counts().photos == len(web_pages.COLOURS)


def test_two_models_stand_side_by_side(database: Path) -> None:
    def load(options: DescribeOptions) -> ColourDescriber:
        return ColourDescriber(min_confidence=0.99 if options.precision == "float32" else 0)

    models = [DescribeOptions(), DescribeOptions(precision="float32")]
    access = Access(web_pages.PORT)
    app = create_app(Workspace([database], models, load), access)
    with TestClient(app, web_pages.ADDRESS) as client:
        web_pages.sign_in(client)
        first, second = client.post("/api/upload", content=picture()).json()["results"]
        assert "side by side" in client.get("/upload").text
    assert first["model"] != second["model"]
    assert (first["trusted"], second["trusted"]) == (True, False)
    assert second["captions"][0]["text"] == "A red photo."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "It is empty."),
        (b"%PDF-1.7", "It is a PDF document."),
        (b"<script>alert(1)</script>", "It contains text"),
        (picture()[:300], "too early"),
    ],
)
def test_what_is_no_photo_is_refused_with_reason_and_remedy(
    client: TestClient, content: bytes, reason: str
) -> None:
    answer = client.post("/api/upload", content=content)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]


def test_too_many_bytes_are_refused_before_they_are_read(client: TestClient) -> None:
    answer = client.post("/api/upload", content=b"x", headers={"Content-Length": str(1 << 30)})
    assert answer.status_code == 413
    assert "256 MB" in answer.json()["error"]["message"]


def test_too_many_at_once_are_refused() -> None:
    async def crowd() -> list[object]:
        turns = page._Turns()
        for _ in range(2):
            await turns.take()
        waiting = [asyncio.create_task(turns.take()) for _ in range(page.WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as refused:
            await turns.take()
        assert refused.value.status == 503
        for _ in waiting:
            turns.give_back()
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(crowd())) == page.WAITING
