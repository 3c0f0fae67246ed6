"""The grid: the photos of the library, newest first or as a search ranks them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.errors import PhotoError, UsageError
from captioner.index import Hit
from captioner.index.search import ExamplePhoto
from captioner.rendering.templates import counted, text
from captioner.search import Advice
from captioner.types import Failure
from captioner.web.query import Query
from captioner.web.responses import json_response, page, workspace_of
from captioner.web.results import Results, ResultsCache
from captioner.web.workspace import Reader

TITLE = "Photos"
BODY_LIMITS = {"/api/example": 128 << 20}

FIRST = 60
"""Photos that come with the results."""
MAX_PHOTOS = 300
"""Of one request."""
SUGGESTIONS = 8
_IN_MEMORY = 1 << 20
"""Bytes of an upload, beyond which it is in a temporary file that has no name."""

ADVICE = {
    Advice.EMPTY_INDEX: "The library is empty. Index a folder on the page “Library”.",
    Advice.FILTERS: "No photo matches the filters: use fewer or broader ones.",
    Advice.EXACT: "Search without “exact”, to include what the model recognises.",
    Advice.QUOTES: "Words in quotes must be in a caption: try without the quotes.",
    Advice.UNKNOWN_WORDS: "The model knows none of these words: try others.",
    Advice.MIN_SCORE: "No photo is a good match: try other words.",
}


def grid(request: Request) -> Response:
    """The page; photos are fetched by its script."""
    query = Query.of(request.query_params)
    with workspace_of(request).reader() as reader:
        folders = [text(root) for index in reader.indexes for root in index.roots()]
        cameras = sorted({camera for index in reader.indexes for camera in index.cameras()})
    return page(request, "grid.html", query=query, folders=folders, cameras=cameras)


async def search(request: Request) -> Response:
    """Search: how many photos there are, their date groups, and the first ones."""
    query = Query.of(request.query_params)
    # One after another: each uses all cores. Those that nobody waits for any more are left out.
    async with request.app.state.searches:
        if await request.is_disconnected():
            return Response(status_code=204)
        return await run_in_threadpool(_search, request, query)


def _search(request: Request, query: Query) -> Response:
    with workspace_of(request).reader() as reader:
        results = _cache(request).latest(reader, query)
        first = _photos(reader, results, 0, FIRST)
    total = len(results.numbers)
    said = f"{counted(total)} found." if query.parameters() else f"{counted(total)}."
    if results.respelled:
        pairs = (f"“{new}” instead of “{old}”" for old, new in results.respelled.items())
        said = f"Searched for {', '.join(pairs)}. {said}"
    advice = ADVICE[results.advice] if results.advice else ""
    if results.advice and results.missing:
        advice += f" {counted(results.missing)} with missing files were left out."
    return json_response(
        {
            "snapshot": results.snapshot,
            "total": total,
            "groups": results.groups,
            "said": said,
            "advice": advice,
            "searched": results.searched,
            "photos": first,
        }
    )


def photos(request: Request) -> Response:
    """Some photos of the results, from an offset on."""
    query = Query.of(request.query_params)
    try:
        offset = int(request.query_params.get("offset", "0"))
        limit = int(request.query_params.get("limit", str(FIRST)))
    except ValueError:
        raise UsageError("offset and limit have to be numbers.", "Reload the page.") from None
    limit = max(0, min(limit, MAX_PHOTOS))
    with workspace_of(request).reader() as reader:
        results = _cache(request).shown(reader, query)
        found = _photos(reader, results, max(0, offset), limit)
    return json_response({"snapshot": results.snapshot, "photos": found})


def _photos(reader: Reader, results: Results, offset: int, limit: int) -> list[object]:
    """As many photos as there are numbers; None for those that have been deleted since."""
    numbers = results.numbers[offset : offset + limit].tolist()
    hits = dict(reader.hits(numbers))
    scores = results.scores
    return [
        None
        if (hit := hits.get(number)) is None
        else _photo(number, hit, None if scores is None else float(scores[offset + place]))
        for place, number in enumerate(numbers)
    ]


def _photo(number: int, hit: Hit, score: float | None) -> dict[str, object]:
    return {
        "number": number,
        "caption": text(hit.caption),
        "kind": hit.kind,
        "source": hit.source,
        "taken": hit.taken_at,
        "name": text(Path(hit.path).name),
        "copies": len(hit.copies),
        "score": score,
    }


def suggestions(request: Request) -> Response:
    """Keywords that begin as the last word that was typed."""
    start = request.query_params.get("start", "")[:100]
    with workspace_of(request).reader() as reader:
        found = [
            word for index in reader.indexes for word in index.suggest_keywords(start, SUGGESTIONS)
        ]
    return json_response({"keywords": [text(word) for word in dict.fromkeys(found)][:SUGGESTIONS]})


async def example(request: Request) -> Response:
    """Take a photo that was dropped onto the page as an example to search by. Not kept."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
        workspace = workspace_of(request)
        found = await run_in_threadpool(workspace.describe_file, "the photo", file)
    if isinstance(found, Failure):
        raise PhotoError(f"this photo cannot be read: {found.reason}")
    photo = ExamplePhoto(found.vectors.embedding, found.photo.path, found.content_hash)
    return json_response(
        {"example": _cache(request).examples.add(photo), "caption": text(found.text)}
    )


def _cache(request: Request) -> ResultsCache:
    cache: ResultsCache = request.app.state.results
    return cache


ROUTES = [
    Route("/", grid),
    Route("/api/search", search),
    Route("/api/photos", photos),
    Route("/api/suggestions", suggestions),
    Route("/api/example", example, methods=["POST"]),
]
