"""One photo: large, with all that is known of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page, workspace_of


def photo(request: Request) -> Response:
    """The page of one photo."""
    number = request.path_params["number"]
    with workspace_of(request).reader() as reader:
        row = reader.photo(number)
        [(_, hit)] = reader.hits([number])
    return page(request, "photo.html", number=number, row=row, hit=hit)


ROUTES = [Route("/photo/{number:int}", photo)]
