"""Responses: pages, JSON, errors and streams of events.

What stands under `/api/` answers in JSON. An error there is
`{"error": {"message": ..., "remedy": ...}}`, and a page with the same words elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from captioner.errors import (
    CaptionerError,
    DatabaseUnavailableError,
    PhotoError,
)
from captioner.rendering.templates import render
from captioner.web.workspace import NotFoundError, Workspace

API = "/api/"


def workspace_of(request: Request) -> Workspace:
    """What requests share."""
    workspace: Workspace = request.app.state.workspace
    return workspace


def page(request: Request, template: str, /, status: int = 200, **values: object) -> HTMLResponse:
    """A page from a template that extends `base.html`."""
    from captioner.web.pages import navigation

    return HTMLResponse(
        render(
            template,
            navigation=navigation(),
            path=request.url.path,
            csrf_token=getattr(request.state, "csrf_token", ""),
            **values,
        ),
        status,
    )


def json_response(content: object, status: int = 200) -> Response:
    """A value as JSON. Names that are not valid text have their odd bytes as `\\udcNN` escapes."""
    return Response(
        json.dumps(content, separators=(",", ":")), status, media_type="application/json"
    )


def error_response(request: Request, error: CaptionerError, status: int = 0) -> Response:
    """An error as JSON or as a page, with what to do about it."""
    status = status or status_of(error)
    if request.url.path.startswith(API):
        return json_response(
            {"error": {"message": _sentence(error.reason), "remedy": error.remedy}}, status
        )
    return page(
        request,
        "error.html",
        status,
        message=_sentence(error.reason),
        remedy=error.remedy,
        signed_in=bool(getattr(request.state, "csrf_token", "")),
    )


def status_of(error: CaptionerError) -> int:
    """The HTTP status of an error."""
    found = getattr(error, "status", None)
    if isinstance(found, int):
        return found
    match error:
        case NotFoundError():
            return 404
        case DatabaseUnavailableError():
            return 503
        case PhotoError():
            return 422
        case _:
            return 400


def events(stream: AsyncIterator[Mapping[str, object]]) -> StreamingResponse:
    """Server-sent events: one message of JSON for each value. Read by `events` of `api.js`."""

    async def lines() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async for value in stream:
            yield f"data: {json.dumps(value, separators=(',', ':'))}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
