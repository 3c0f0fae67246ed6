"""The page "Upload": what each model says about photos that are not indexed. Nothing is kept."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Mapping
from functools import partial
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.comparison import MAX_BYTES, Borrow, ComparedPhoto, compare
from captioner.photos.diagnosis import MAX_PIXELS
from captioner.photos.formats import EXTENSIONS
from captioner.rendering import thumbnails
from captioner.web.responses import json_response, page, workspace_of
from captioner.web.security import RefusedError
from captioner.web.workspace import Workspace

TITLE = "Upload"
BODY_LIMITS = {"/api/upload": MAX_BYTES}

MAX_PHOTOS = 100
"""Photos that the page takes at once."""
WAITING = 8
"""Uploads that may wait for their turn; further ones are refused."""
_IN_MEMORY = 16 << 20
"""Bytes of an upload that are held in memory; more go to a temporary file without a name."""


class _Turns:
    """Lets two uploads in at a time, and a few wait."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(2)
        self._waiting = 0

    async def take(self) -> None:
        if self._waiting >= WAITING:
            raise RefusedError(
                503, "too many photos at once.", "Wait for the others, then try again."
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        self._free.release()


def upload(request: Request) -> Response:
    """The page."""
    workspace = workspace_of(request)
    return page(
        request,
        "upload.html",
        models=list(_models(workspace)),
        max_photos=MAX_PHOTOS,
        max_megabytes=MAX_BYTES >> 20,
        max_megapixels=MAX_PIXELS // 1_000_000,
        accept=",".join(["image/*", *(f".{extension}" for extension in sorted(EXTENSIONS))]),
    )


async def describe(request: Request) -> Response:
    """Describe one photo, the request's body, by each model."""
    state = request.app.state
    if not hasattr(state, "upload_turns"):
        state.upload_turns = _Turns()
    turns: _Turns = state.upload_turns
    await turns.take()
    try:
        # Deleted with the request, whatever happens: on most systems it never has a name.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            async for chunk in request.stream():
                file.write(chunk)
            models = _models(workspace_of(request))
            made = await run_in_threadpool(compare, file, "upload", models)  # type: ignore[arg-type]
    finally:
        turns.give_back()
    return json_response(_record(made))


def _models(workspace: Workspace) -> Mapping[str, Borrow]:
    """The models by names of which no two are the same."""
    found: dict[str, Borrow] = {}
    for choice in workspace.models:
        name, again = choice.name, 2
        while name in found:
            name, again = f"{choice.name} ({again})", again + 1
        # What `captioner.model.load` loads can be adjusted, as any describer here has to be.
        found[name] = cast(Borrow, partial(workspace.model, choice.number))
    return found


def _record(made: ComparedPhoto) -> dict[str, object]:
    preview = thumbnails.encode(made.photo)
    return {
        "format": made.photo.format,
        "width": made.photo.width,
        "height": made.photo.height,
        "seconds": round(made.seconds, 3),
        "preview": base64.b64encode(preview).decode("ascii"),
        "results": [
            {
                "model": result.model,
                "trusted": result.is_trusted,
                "seconds": round(result.seconds, 3),
                "captions": [
                    {"text": one.text, "confidence": round(float(one.confidence), 4)}
                    for one in result.captions
                ],
                "keywords": [
                    {"word": one.word, "probability": round(float(one.probability), 4)}
                    for one in result.keywords
                ],
            }
            for result in made.results
        ],
    }


ROUTES = [Route("/upload", upload), Route("/api/upload", describe, methods=["POST"])]
