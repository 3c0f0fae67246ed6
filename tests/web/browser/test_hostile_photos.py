"""Scripts in photos: shown as the text that they are, never run (`visit` looks for that)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import album
import pytest
from page_server import VIEWS, PageServer


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"{album.IMAGE}.jpg", [album.IMAGE]),
        ("exif.jpg", [f"EXIF {album.SCRIPT}", f"Camera {album.SCRIPT}"]),
        ("xmp.jpg", [f"XMP {album.SCRIPT}", f"word {album.SCRIPT}"]),
        ("sidecar.jpg", [f"XMP {album.SCRIPT}", f"word {album.SCRIPT}"]),
        (f"truncated {album.IMAGE}.jpg", [f"truncated {album.IMAGE}.jpg"]),
    ],
)
def test_one_photo(
    visit: Callable[..., Any], server: PageServer, name: str, shown: list[str]
) -> None:
    opened = visit(f"/photo/{server.rows()[name]}")
    opened.expected.append(
        r"/(large|thumbnail)/|/suggestions"
    )  # the picture of one that cannot be read
    page = opened.page
    page.wait_for_load_state("networkidle")
    text = (
        page.inner_text("main")
        + page.get_by_role("textbox", name="Caption", exact=True).input_value()
    )
    for each in shown:
        assert each in text
    assert page.locator("main script, img[src=x]").count() == 0


@pytest.mark.parametrize("path", VIEWS)
def test_every_view(visit: Callable[..., Any], path: str) -> None:
    opened = visit(path)
    opened.expected.append(r"/(large|thumbnail)/|/suggestions")
    opened.page.wait_for_load_state("networkidle")
    assert opened.page.locator("main script, img[src=x]").count() == 0
