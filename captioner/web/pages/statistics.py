"""The page "Statistics"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page

TITLE = "Statistics"


def statistics(request: Request) -> Response:
    """The page."""
    return page(request, "statistics.html")


ROUTES = [Route("/statistics", statistics)]
