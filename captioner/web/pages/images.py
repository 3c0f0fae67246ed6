"""Pictures of photos: thumbnails, large views and the files themselves, by number alone."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from captioner.errors import PhotoError
from captioner.index import PhotoRow
from captioner.photos.formats import detect_format
from captioner.photos.path_errors import explain
from captioner.regular_files import open_regular
from captioner.rendering.thumbnails import LARGE, MEDIA_TYPE, TILE
from captioner.types import Photo
from captioner.web.responses import workspace_of

_CACHED = {"Cache-Control": "private, max-age=86400"}
_SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
"""Formats that every browser shows. Files of others are only saved, never opened in the page."""
_CHUNK = 1 << 18


def thumbnail(request: Request) -> Response:
    """A small picture for the grid."""
    return _picture(request, TILE)


def large(request: Request) -> Response:
    """A picture that fills a screen, upright."""
    return _picture(request, LARGE)


def original(request: Request) -> Response:
    """The file as it is: never anything but a picture, whatever its name or content says."""
    photo = _photo(request)
    try:
        file = open_regular(photo.path)
    except OSError as error:
        raise PhotoError(f"cannot read this photo: {explain(error)}") from error
    try:
        kind = detect_format(file)
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
    except BaseException:
        file.close()
        raise

    def content() -> object:
        with file:
            while chunk := file.read(_CHUNK):
                yield chunk

    shown = kind in _SHOWN and "save" not in request.query_params
    name = photo.path.name.encode("ascii", "replace").decode().replace('"', "_")
    return StreamingResponse(
        content(),  # type: ignore[arg-type]
        media_type=_SHOWN.get(kind, "application/octet-stream"),
        headers={
            "Content-Length": str(size),
            "Content-Disposition": "inline" if shown else f'attachment; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )


def _picture(request: Request, side: int) -> Response:
    workspace, photo = workspace_of(request), _photo(request)
    etag = f'"{photo.content_hash.hex()}-{side}"' if photo.content_hash else None
    headers = {**_CACHED, **({"ETag": etag} if etag else {})}
    if etag and request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    found = workspace.thumbnails.get(photo.content_hash, side)
    if found is None:
        found = workspace.thumbnails.make(Photo(photo.path, photo.size, photo.mtime_ns), side)
    return Response(found, media_type=MEDIA_TYPE, headers=headers)


def _photo(request: Request) -> PhotoRow:
    with workspace_of(request).reader() as reader:
        return reader.photo(request.path_params["number"])


ROUTES = [
    Route("/thumbnail/{number:int}", thumbnail),
    Route("/large/{number:int}", large),
    Route("/original/{number:int}", original),
]
