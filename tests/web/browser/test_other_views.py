"""Uploads, review, library and statistics, as a person uses them."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import album
import page_server
import pytest
from page_server import WIDTHS, PageServer

Visit = Callable[..., Any]


@pytest.fixture
def expect() -> Any:
    return pytest.importorskip("playwright.sync_api").expect


@pytest.mark.parametrize("width", WIDTHS)
def test_two_models_caption_uploads_side_by_side(
    visit: Visit, server: PageServer, expect: Any, screenshot: Any, tmp_path: Path, width: int
) -> None:
    before = server.rows()
    opened = visit("/upload", width=width)
    opened.expected.append("422")  # of the broken one
    page = opened.page
    photos = [album.photo(tmp_path / f"{n}.jpg", seed=40 + n) for n in range(2)]
    broken = tmp_path / f"{album.IMAGE}.jpg"
    broken.write_bytes(photos[0].read_bytes()[:900])
    page.locator("#files").set_input_files([*photos, broken])
    done = re.compile("3 done, 1 could not be read")
    expect(page.locator("#progress")).to_have_text(done, timeout=60_000)
    results = page.locator("#results > li")
    for number in range(2):
        expect(results.nth(number)).to_contain_text(re.compile("base.*twin", re.DOTALL))
        expect(results.nth(number)).to_contain_text(re.compile(r"\d+ %"))
        expect(results.nth(number)).to_contain_text(re.compile(r"\d s|ms|0\.\d"))
    expect(results.nth(2)).to_contain_text(album.IMAGE)
    expect(results.nth(2)).to_contain_text("ends too early")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"upload-{width}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save captions as JSON").click()
    said = json.loads(Path(download.value.path()).read_text())
    assert [len(one.get("results", ())) for one in said] == [2, 2, 0]
    assert server.rows() == before  # nothing is kept


def test_review_accepts_corrects_skips_and_exports(
    visit: Visit, own_home: Path, expect: Any, tmp_path: Path
) -> None:
    with page_server.running(home=own_home) as server:
        page = visit("/review", of=server).page
        progress, link = page.locator("#progress"), page.locator("#link")
        expect(page.locator("#sentences button").first).to_be_visible(timeout=60_000)
        names = [link.inner_text()]
        for key, said in (("a", "1 accepted"), ("s", "1 skipped")):
            page.keyboard.press(key)
            expect(progress).to_contain_text(said)
            expect(link).not_to_have_text(names[-1])
            names.append(link.inner_text())
        page.keyboard.press("c")
        page.get_by_role("textbox", name="Caption").fill("What a person saw.")
        page.keyboard.press("Control+Enter")
        expect(progress).to_contain_text("1 corrected")
        page.keyboard.press("Escape")
        with page.expect_download() as download:
            page.get_by_role("link", name="Export corrections").click()
        with zipfile.ZipFile(download.value.path()) as corpus:
            [captions] = [name for name in corpus.namelist() if name.endswith("captions.txt")]
            assert "What a person saw" in corpus.read(captions).decode()
            assert len([name for name in corpus.namelist() if name.endswith(".jpg")]) == 2
        page.keyboard.press("u")
        expect(progress).to_contain_text("0 corrected")
        with closing(sqlite3.connect(own_home / "captioner.db")) as database:
            persons = database.execute(
                "SELECT count(*) FROM captions WHERE source = 'person'"
            ).fetchone()
        assert persons == (1,)


def test_a_folder_is_indexed_with_live_progress(
    visit: Visit, own_home: Path, expect: Any, tmp_path: Path
) -> None:
    photos = [album.photo(tmp_path / f"new photos/{n}.jpg", seed=400 + n) for n in range(6)]
    album.unreadable(tmp_path / "new photos/unreadable")
    with page_server.running(home=own_home) as server:
        opened = visit("/library", of=server)
        opened.expected.append("40[04]|422")  # there is no such folder
        page = opened.page
        folder = page.get_by_label("Path of a folder")
        folder.fill(str(tmp_path / "nowhere"))
        page.get_by_role("button", name="Index…").click()
        expect(page.locator("#add-error")).not_to_be_empty()
        folder.fill(str(tmp_path / "new photos"))
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Index this folder").click()
        expect(page.locator("#run-state")).to_contain_text("6 described", timeout=60_000)
        expect(page.locator("#run-problems-list")).to_contain_text("It is empty")
        expect(page.locator("#roots")).to_contain_text("new photos")
        assert {path.name for path in photos} <= server.rows().keys()


def test_what_could_not_be_read_what_is_double_and_what_is_gone(visit: Visit, expect: Any) -> None:
    opened = visit("/library/failures")
    opened.expected.append("/thumbnail/")
    page = opened.page
    expect(page.get_by_role("main")).to_contain_text("it is empty. Copy it again")
    expect(page.get_by_role("main")).to_contain_text(f"truncated {album.IMAGE}.jpg")
    page.get_by_role("link", name="Duplicates").click()
    expect(page.get_by_role("main")).to_contain_text("copy.jpg")
    expect(page.get_by_role("main")).to_contain_text("IMG_0000.jpg")
    page.get_by_role("link", name=re.compile("Missing")).click()
    expect(page.get_by_role("main")).to_contain_text("gone.jpg")


@pytest.mark.parametrize("width", WIDTHS)
def test_statistics_lead_to_the_photos(
    visit: Visit, expect: Any, screenshot: Any, width: int
) -> None:
    opened = visit("/statistics", width=width)
    opened.expected.append("/thumbnail/")
    page = opened.page
    expect(page.get_by_role("main")).to_contain_text(f"Camera {album.SCRIPT}")
    assert page.locator("main svg").count() >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"statistics-{width}")
    page.get_by_role("link", name="Fujifilm X100").click()
    expect(page).to_have_url(re.compile("camera="))
    expect(page.locator("#said")).to_contain_text("found")
