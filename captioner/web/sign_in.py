"""Signing in by password, where the page can be reached from other machines."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.web.responses import page
from captioner.web.security import SIGN_IN, Access
from captioner.web.workspace import NotFoundError

MAX_LENGTH = 1000
"""Of a password, characters."""


async def sign_in(request: Request) -> Response:
    """The form, and what it sends."""
    access: Access = request.app.state.access
    if access.password is None:
        raise NotFoundError("there is no password.", "Open the address that was printed.")
    if request.method == "POST":
        async with request.form(max_files=0, max_fields=1) as form:
            password = str(form.get("password", ""))[:MAX_LENGTH]
        if await run_in_threadpool(access.check_password, password):
            return access.signed_in("/")
        return page(request, "sign_in.html", 403, wrong=True)
    return page(request, "sign_in.html", wrong=False)


ROUTES = [Route(SIGN_IN, sign_in, methods=["GET", "POST"])]
