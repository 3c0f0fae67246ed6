"""Every view by axe-core, in light and dark, and without a mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_server import VIEWS, WIDTHS

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", VIEWS)
def test_axe_finds_nothing(
    visit: Any, screenshot: Callable[[Any, str], Path], path: str, scheme: str
) -> None:
    opened = visit(path, color_scheme=scheme)
    opened.expected.append("/thumbnail/|/large/")  # of files that cannot be read or are gone
    page = opened.page
    page.wait_for_load_state("networkidle")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    name = re.sub(r"\W+", "-", path).strip("-") or "grid"
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_load_state("networkidle")
        screenshot(page, f"{name}-{scheme}-{width}")
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{path} is {overflow} pixels wider than {width}"
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("path", VIEWS)
def test_what_has_the_focus_can_be_seen(visit: Any, path: str) -> None:
    opened = visit(path)
    opened.expected.append("/thumbnail/|/large/")
    page = opened.page
    for _ in range(12):
        page.keyboard.press("Tab")
        seen = page.evaluate("""() => {
            const element = document.activeElement
            if (!element || element === document.body) return null
            const style = getComputedStyle(element)
            const stroked = [...element.querySelectorAll(".hit, circle")]
                .map((part) => getComputedStyle(part))
                .some(({ stroke, strokeWidth }) => stroke !== "none" && parseFloat(strokeWidth) > 1)
            return [element.outerHTML.slice(0, 120),
                    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0
                    || style.boxShadow !== "none" || stroked]
        }""")
        assert seen is None or seen[1], f"no outline: {seen[0]}"
