"""A library of small photos, one server of its page and one browser for all tests here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import album
import page_server
import processes
import pytest
from page_server import WIDTHS

_ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here start processes."""
    for item in items:
        if item.path.is_relative_to(_ROOT):
            item.add_marker(pytest.mark.process)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database and the cache are."""
    return tmp_path_factory.mktemp("browser") / "home"


@pytest.fixture(scope="session")
def folder(home: Path) -> Path:
    """The library's photos, which are indexed: ordinary ones, hostile ones, unreadable ones."""
    folder = home.parent / "photos"
    ordinary = album.ordinary(folder, 14)
    album.hostile(folder / "hostile")
    album.unreadable(folder / "unreadable")
    shutil.copyfile(ordinary[0], folder / "copy.jpg")
    gone = album.photo(folder / "gone.jpg", seed=200, taken="2017:05:06 07:08:09")
    done = processes.run("index", folder, home=home)
    assert done.returncode == 1, done.stderr  # some cannot be read
    gone.unlink()
    done = processes.run("index", folder, home=home)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def own_home(home: Path, folder: Path, tmp_path: Path) -> Path:
    """A copy of the library's home."""
    return Path(shutil.copytree(home, tmp_path / "home"))


@pytest.fixture(scope="session")
def server(home: Path, folder: Path) -> Iterator[page_server.PageServer]:
    """The server that all tests share which do not end it, with two models."""
    twin = home.parent / "twin"
    twin.symlink_to(processes.ROOT / "weights/base", target_is_directory=True)
    with page_server.running(
        "--model", processes.ROOT / "weights/base", "--model", twin, home=home
    ) as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or Chrome."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("there is no browser: apt install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program,
            # Chromium refuses its sandbox to root, which containers run tests as.
            args=["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()


class Visit:
    """A tab of the browser, and what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.expected: list[str] = []
        """Regular expressions of complaints that a test provokes."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Any) -> None:
        # A page that is left cancels what it was loading; so do searches that go on typing.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}: {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def check(self) -> None:
        """Assert that nothing went wrong and that no script of a photo ran."""
        unexpected = [
            text
            for text in self.complaints
            if not any(re.search(pattern, text) for pattern in self.expected)
        ]
        assert not unexpected, unexpected
        assert self.page.evaluate("window.harmed") is None


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, server: page_server.PageServer) -> Iterator[Open]:
    """A function that opens a path of the page in a tab of its own; complaints fail the test."""
    visits, contexts = [], []

    def visit(path: str = "/", *, width: int = 1280, **options: Any) -> Visit:
        of = options.pop("of", server)
        context = browser.new_context(
            viewport={"width": width, "height": WIDTHS[width]},
            has_touch=width == 360,
            **options,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        visit = Visit(context.new_page())
        visits.append(visit)
        visit.page.goto(of.address)
        if path != "/":
            visit.page.goto(of.origin + path)
        return visit

    try:
        yield visit
        for each in visits:
            each.check()
    finally:
        for context in contexts:
            context.close()


@pytest.fixture
def screenshot(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Any, str], Path]:
    """A function that keeps a picture of a page under a name.

    In the folder that `CAPTIONER_TEST_SCREENSHOTS` names, if it does.
    """
    folder = Path(os.environ.get("CAPTIONER_TEST_SCREENSHOTS") or tmp_path)

    def screenshot(page: Any, name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        return path

    return screenshot
