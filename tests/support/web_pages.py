"""A library of a few photos behind the page, for tests of the web application."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import colour_describer
from starlette.testclient import TestClient

from captioner.index import Index
from captioner.library import Library
from captioner.rendering.thumbnails import ThumbnailCache
from captioner.web.app import create_app
from captioner.web.security import Access
from captioner.web.workspace import Workspace

PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"
COLOURS = ("red", "green", "blue", "red")


def library(folder: Path) -> Path:
    """Write four photos, and index them by colour; the database's path."""
    database = folder / "captioner.db"
    for number, colour in enumerate(COLOURS):
        colour_describer.photo(folder / f"photos/{number}-{colour}.jpg", colour)
    with Library.open(database, write=True, load=colour_describer.ColourDescriber) as found:
        found.index(folder / "photos")
    return database


def workspace(database: Path, cache: Path | None = None, **options: object) -> Workspace:
    """A workspace whose model recognises colours."""
    return Workspace(
        [database],
        load=lambda options: colour_describer.ColourDescriber(),
        thumbnails=ThumbnailCache(cache or database.parent / "thumbnails"),
        **options,  # type: ignore[arg-type]
    )


@contextmanager
def client(database: Path, *, signed_in: bool = True, **access: object) -> Iterator[TestClient]:
    """A client of the page as a browser is, with the header that its scripts send."""
    app = create_app(workspace(database), Access(PORT, **access))  # type: ignore[arg-type]
    with TestClient(app, ADDRESS, raise_server_exceptions=False) as one:
        if signed_in:
            sign_in(one)
        yield one


def sign_in(one: TestClient) -> None:
    """Open the first address; from then on, send the CSRF token and the origin."""
    page = one.get(one.app.state.access.address.removeprefix(ADDRESS))
    assert page.status_code == 200, page.text
    [token] = re.findall('name="csrf-token" content="([0-9a-f]+)"', page.text)
    one.headers.update({"X-CSRF-Token": token, "Origin": ADDRESS})


def photo_numbers(database: Path) -> list[int]:
    """The numbers of all photos."""
    with Index.open(database) as index:
        return [photo.id for photo in index.photos_at(database.parent / "photos")]
