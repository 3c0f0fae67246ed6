"""The page "Review"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page

TITLE = "Review"


def review(request: Request) -> Response:
    """The page."""
    return page(request, "review.html")


ROUTES = [Route("/review", review)]
