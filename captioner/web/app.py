"""The application: all pages behind the guard, errors in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from captioner.errors import CaptionerError
from captioner.rendering import STATIC
from captioner.web import pages, sign_in
from captioner.web.responses import error_response, status_of
from captioner.web.results import ResultsCache
from captioner.web.security import Access, Guard
from captioner.web.workspace import Workspace

_STATUS_REASONS = {
    404: ("there is no such page.", "Choose one above."),
    405: ("this is not possible here.", ""),
    400: ("the request makes no sense.", "Reload the page and try again."),
}


def create_app(workspace: Workspace, access: Access) -> Starlette:
    """The application over a workspace. When the server ends, so do the workspace and its jobs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # What the first page needs is read while the browser starts.
        preparing = asyncio.create_task(run_in_threadpool(app.state.results.prepare))
        yield
        preparing.cancel()
        await run_in_threadpool(workspace.close)

    app = Starlette(
        routes=[
            *pages.routes(),
            *sign_in.ROUTES,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(Guard, access=access, limits=pages.body_limits()),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=4),
        ],
        exception_handlers={
            CaptionerError: _explain,
            HTTPException: _explain_status,
        },
        lifespan=lifespan,
    )
    app.state.workspace = workspace
    app.state.access = access
    app.state.results = ResultsCache(workspace)
    app.state.searches = asyncio.Semaphore(1)
    return app


async def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, CaptionerError)
    return error_response(request, error, status_of(error))


async def _explain_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason, remedy = _STATUS_REASONS.get(error.status_code, (f"{error.detail}.", ""))
    return error_response(request, CaptionerError(reason, remedy), error.status_code)
