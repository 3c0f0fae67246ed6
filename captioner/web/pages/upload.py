"""The page "Upload"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page

TITLE = "Upload"


def upload(request: Request) -> Response:
    """The page."""
    return page(request, "upload.html")


ROUTES = [Route("/upload", upload)]
