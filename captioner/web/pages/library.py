"""The page "Library"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page

TITLE = "Library"


def library(request: Request) -> Response:
    """The page."""
    return page(request, "library.html")


ROUTES = [Route("/library", library)]
