"""One photo, as a person looks at it, corrects it and writes its words into files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import album
import pytest
from page_server import WIDTHS, PageServer, until

Visit = Callable[..., Any]


@pytest.fixture
def expect() -> Any:
    return pytest.importorskip("playwright.sync_api").expect


@pytest.mark.parametrize("width", WIDTHS)
def test_it_shows_picture_sentences_keywords_facts_and_place(
    visit: Visit, server: PageServer, expect: Any, screenshot: Any, width: int
) -> None:
    number = server.rows()["IMG_0008.jpg"]  # with a camera and a place
    page = visit(f"/photo/{number}", width=width).page
    picture = page.locator("#picture")
    expect(picture).to_be_in_viewport()
    until(page, "document.querySelector('#picture').naturalWidth > 0")
    assert picture.get_attribute("alt")
    sentences = page.locator(".suggestions button")
    expect(sentences.first).to_contain_text(re.compile(r"\d+ %\s*A .*\."))
    assert sentences.count() >= 3
    expect(page.locator("#keywords li").first).to_contain_text(re.compile(r"\d+ %"))
    facts = page.locator(".facts")
    expect(facts).to_contain_text("Fujifilm X100")
    expect(facts).to_contain_text("2019-09-09 12:08:00")
    expect(page.get_by_role("img", name="Map:")).to_be_visible()
    screenshot(page, f"photo-{width}")


def test_a_photo_on_its_side_stands_upright(visit: Visit, server: PageServer) -> None:
    page = visit(f"/photo/{server.rows()['IMG_0003.jpg']}").page  # 320 × 240, turned by 90°
    until(page, "document.querySelector('#picture').naturalWidth > 0")
    size = page.evaluate("(i => [i.naturalWidth, i.naturalHeight])(document.querySelector('img'))")
    assert size == [240, 320]


def test_a_persons_caption_stays(visit: Visit, server: PageServer, expect: Any) -> None:
    page = visit(f"/photo/{server.rows()['IMG_0001.jpg']}").page
    caption = page.get_by_role("textbox", name="Caption", exact=True)
    until(page, "!!document.querySelector('#keywords li')")
    page.keyboard.press("e")
    expect(caption).to_be_focused()
    caption.fill(f"Grandmother's garden {album.SCRIPT} at six & a half.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#author")).to_contain_text("Your caption")
    page.reload()
    expect(caption).to_have_value(f"Grandmother's garden {album.SCRIPT} at six & a half.")
    page.get_by_role("button", name="Remove my caption").click()
    expect(page.locator("#author")).not_to_contain_text("Your caption")


def test_one_key_accepts_a_suggestion(visit: Visit, server: PageServer, expect: Any) -> None:
    page = visit(f"/photo/{server.rows()['IMG_0002.jpg']}").page
    second = page.locator(".suggestions button").nth(1)
    expect(second).to_be_visible()
    wanted = second.locator(".sentence").inner_text()
    page.keyboard.press("2")
    expect(page.locator("#author")).to_contain_text("Your caption")
    expect(page.get_by_role("textbox", name="Caption", exact=True)).to_have_value(wanted)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator("#author")).not_to_contain_text("Your caption")


def test_keywords_are_added_and_removed(visit: Visit, server: PageServer, expect: Any) -> None:
    page = visit(f"/photo/{server.rows()['IMG_0004.jpg']}").page
    words = page.locator("#keywords li")
    expect(words.first).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.type("holiday, Grandmother's <b>bench</b>")
    page.keyboard.press("Enter")
    expect(words.filter(has_text="Grandmother's <b>bench</b>")).to_contain_text("yours")
    page.get_by_role("button", name="Remove holiday").click()
    expect(words.filter(has_text="holiday").filter(has_text="yours")).to_have_count(0)


def test_words_are_written_beside_the_photo_and_taken_back(
    visit: Visit, server: PageServer, folder: Path, expect: Any
) -> None:
    [photo] = folder.rglob("IMG_0005.jpg")
    before = photo.read_bytes()
    page = visit(f"/photo/{server.rows()['IMG_0005.jpg']}").page
    page.get_by_role("textbox", name="Caption", exact=True).fill("Two hills.")
    page.get_by_role("button", name="Save my caption").click()
    expect(page.locator("#author")).to_contain_text("Your caption")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator("#files")).to_contain_text("Two hills.")
    [sidecar] = photo.parent.glob("IMG_0005*.xmp")
    assert "Two hills." in sidecar.read_text()
    assert photo.read_bytes() == before
    page.get_by_role("button", name="Undo what captioner wrote").click()
    expect(page.locator("#files")).not_to_contain_text("Two hills.")
    assert not sidecar.exists()
    page.get_by_label("into the photo's own file").check()
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator("#files")).to_contain_text("Two hills.")
    assert photo.read_bytes() != before
    page.keyboard.press("u")  # which alone changes no file
    expect(page.get_by_role("button", name="Undo what captioner wrote")).to_be_focused()
    assert photo.read_bytes() != before
    page.keyboard.press("Enter")
    expect(page.locator("#files")).not_to_contain_text("Two hills.")
    assert photo.read_bytes() == before


def test_the_keys_are_listed(visit: Visit, expect: Any) -> None:
    page = visit("/photo/1").page
    page.wait_for_load_state("networkidle")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_contain_text("Next photo")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
