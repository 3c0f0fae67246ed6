"""The grid: the photos of the library, newest first or as a search ranks them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page

TITLE = "Photos"


def grid(request: Request) -> Response:
    """The page; photos are fetched by its script."""
    return page(request, "grid.html")


ROUTES = [Route("/", grid)]
