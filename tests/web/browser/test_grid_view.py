"""The grid and its search, as a person uses them: by mouse, by keyboard, on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_server import WIDTHS, until

Visit = Callable[..., Any]
CELLS = "[role=gridcell]"


@pytest.fixture
def expect() -> Any:
    return pytest.importorskip("playwright.sync_api").expect


def loaded(page: Any) -> None:
    """Wait until every picture in the window is there."""
    until(
        page,
        """() => {
            const seen = [...document.querySelectorAll('[role=gridcell] img')].filter((img) => {
                const { top, bottom } = img.getBoundingClientRect()
                return bottom > 0 && top < innerHeight
            })
            return seen.length > 0 && seen.every((img) => img.complete)
        }""",
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_photos_with_captions_by_date(
    visit: Visit, expect: Any, screenshot: Any, width: int
) -> None:
    opened = visit("/", width=width)
    opened.expected.append(r"422|/thumbnail/")  # files that cannot be read have no picture
    page = opened.page
    loaded(page)
    expect(page.locator("#said")).to_have_text(re.compile(r"^\d+ photos\."))
    expect(page.get_by_text("December 2024")).to_be_visible()
    first = page.locator(CELLS).first
    assert first.bounding_box()["width"] <= width / 2
    assert page.locator(CELLS).filter(has_text=re.compile(r"[A-Z].*\.")).count() > 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    screenshot(page, f"grid-{width}")


def test_scrolling_to_the_end_leaves_no_gap(visit: Visit) -> None:
    opened = visit("/", width=360)
    opened.expected.append(r"422|/thumbnail/")
    page = opened.page
    loaded(page)
    seen = set()
    for _ in range(60):
        loaded(page)
        seen |= {
            int(number)
            for href in page.locator(f"{CELLS} a").evaluate_all("all => all.map((a) => a.href)")
            for number in re.findall(r"/photo/(\d+)", href)
        }
        if page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2"):
            break
        page.mouse.wheel(0, 600)
    total = int(page.locator("#said").inner_text().split()[0].replace(",", ""))
    assert len(seen) == total > 15


def test_by_keyboard_to_a_photo_to_the_next_and_back(visit: Visit, expect: Any) -> None:
    opened = visit("/?q=sky")
    opened.expected.append("/thumbnail/")
    page = opened.page
    loaded(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/photo/\d+"))
    first = page.url
    expect(page.locator("#position")).to_have_text(re.compile(r"^\D*[23]\D+\d+"))
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda url: url.split("?")[0] == first.split("?")[0])
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(r"/\?.*q=sky"))


def test_search_as_one_types(visit: Visit, expect: Any, screenshot: Any) -> None:
    opened = visit("/")
    opened.expected.append("/thumbnail/")
    page = opened.page
    loaded(page)
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search photos")
    expect(search).to_be_focused()
    search.press_sequentially("moun", delay=30)
    options = page.get_by_role("option")
    expect(options.filter(has_text="mountain").first).to_be_visible()
    screenshot(page, "suggestions-1280")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(search).to_have_value(re.compile("^mountain"))
    expect(page.locator("#said")).to_contain_text("found")
    found = page.locator("#said").inner_text()
    search.fill("mountain -sky")
    expect(page.locator("#said")).not_to_have_text(found)
    search.fill("moutnain")
    expect(page.locator("#said")).to_contain_text("“mountain” instead of “moutnain”")
    page.keyboard.press("Escape")
    expect(page.locator("#said")).not_to_contain_text("found")


def test_filters_are_those_of_the_command_line(visit: Visit, expect: Any, folder: Path) -> None:
    opened = visit("/")
    opened.expected.append("/thumbnail/")
    page = opened.page
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_label("Camera").fill("Fujifilm")
    said = page.locator("#said")
    expect(said).to_contain_text("found")
    page.get_by_label("On or after").fill("2024")
    expect(page).to_have_url(re.compile("after=2024"))
    page.get_by_role("button", name="Clear filters").click()
    expect(said).not_to_contain_text("found")
    page.get_by_label("Folder").fill(str(folder / "2019"))
    expect(said).to_have_text("2 photos found.")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("On or after").fill("20x4")
    expect(page.locator("#advice")).to_contain_text("20x4")
    opened.expected.append("400")


def test_many_photos_are_selected(visit: Visit, expect: Any) -> None:
    opened = visit("/")
    opened.expected.append("/thumbnail/")
    page = opened.page
    loaded(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    selection = page.locator("#selection")
    expect(selection).to_contain_text("3 selected")
    page.locator(f"{CELLS}:not([hidden])").last.click(modifiers=["Control"])
    expect(selection).to_contain_text("4 selected")
    page.keyboard.press("Escape")
    expect(selection).to_be_hidden()


def test_photos_like_one_of_them_and_like_one_from_the_disk(
    visit: Visit, expect: Any, folder: Path, tmp_path: Path
) -> None:
    opened = visit("/")
    opened.expected.append("/thumbnail/")
    page = opened.page
    loaded(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    expect(page.locator("#example")).to_contain_text("Like ")
    expect(page).to_have_url(re.compile("like="))
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#example")).to_be_hidden()
    [photo] = folder.rglob("IMG_0009.jpg")
    page.locator("#photo-file").set_input_files(photo)
    expect(page.locator("#example")).to_contain_text("Like this photo", timeout=60_000)
    expect(page.locator(CELLS).first).to_be_visible()
    # Text and photo together.
    page.get_by_role("combobox", name="Search photos").fill("mountain")
    expect(page).to_have_url(re.compile("q=mountain.*example="))


def test_a_file_that_is_no_photo_is_refused_in_words(
    visit: Visit, expect: Any, tmp_path: Path
) -> None:
    opened = visit("/")
    opened.expected.append("/thumbnail/|422|/api/example")
    text = tmp_path / "notes.jpg"
    text.write_text("no photo")
    opened.page.locator("#photo-file").set_input_files(text)
    expect(opened.page.locator("#toasts")).to_contain_text("cannot be read", timeout=60_000)
