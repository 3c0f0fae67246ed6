"""One photo: large, with all that is known of it, editing, and writing into its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner import review, statements
from captioner.errors import CaptionerError, PhotoError, UsageError
from captioner.index import Index, PhotoDetails
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.model.options import DEFAULT_KEYWORDS
from captioner.photos.path_errors import explain
from captioner.rendering.maps import place_map
from captioner.rendering.templates import text
from captioner.types import Photo
from captioner.web.bodies import Body, posted
from captioner.web.query import Query
from captioner.web.responses import json_response, page, workspace_of
from captioner.web.results import ResultsCache
from captioner.web.workspace import NotFoundError, Reader
from captioner.writing import IndexWriter, NothingToWrite, WriteSelection

if TYPE_CHECKING:
    from captioner.model.describer import Suggestion

_NOTHING = {
    NothingToWrite.UNKNOWN: ("the index has no caption of this photo.", "Index it first."),
    NothingToWrite.CHANGED: (
        "the photo has changed since it was indexed.", "Index its folder again.",
    ),
    NothingToWrite.UNSURE: (
        "there is nothing to write: the model trusts no sentence.",
        "Write a caption of your own, or accept one of its suggestions.",
    ),
}  # fmt: skip


def photo(request: Request) -> Response:
    """The page of one photo."""
    number = request.path_params["number"]
    with workspace_of(request).reader() as reader:
        _, details = find(reader, number)
        copies = [
            (reader.number(number % len(reader.indexes), row), path) for row, path in details.copies
        ]
    known = details.facts
    place = None
    if known.latitude is not None and known.longitude is not None:
        place = place_map(known.latitude, known.longitude)
    return page(
        request, "photo.html",
        number=number,
        details=details,
        name=details.path.name,
        facts=_facts(details),
        place=place,
        copies=copies,
        back=urlencode(Query.of(request.query_params).parameters()),
    )  # fmt: skip


def neighbours(request: Request) -> Response:
    """The photos before and after this one in the results of the query in the address."""
    query = Query.of(request.query_params)
    number = request.path_params["number"]
    at = request.query_params.get("at", "")
    cache: ResultsCache = request.app.state.results
    with workspace_of(request).reader() as reader:
        results = cache.shown(reader, query)
        near = int(at) if at.isascii() and at.isdigit() and len(at) < 10 else 0
        position = results.position(number, near)
    numbers = results.numbers
    found: dict[str, object] = {"total": len(numbers), "position": position}
    for name, step in (("previous", -1), ("next", 1)):
        place = -1 if position is None else position + step
        found[name] = None
        if 0 <= place < len(numbers):
            address = urlencode([*query.parameters(), ("at", place)])
            found[name] = {"number": int(numbers[place]), "query": address}
    return json_response(found)


def words(request: Request) -> Response:
    """Captions and keywords of a photo as JSON."""
    with workspace_of(request).reader() as reader:
        _, details = find(reader, request.path_params["number"])
    return json_response(words_json(details))


def suggestions(request: Request) -> Response:
    """Every sentence that a model considers for a photo; the photo is not opened."""
    workspace = workspace_of(request)
    with workspace.reader() as reader:
        index, details = find(reader, request.path_params["number"])
        with workspace.suggester() as suggester:
            found = review.suggestions(index, details, suggester)
    return json_response(
        {
            "model": suggester.model_id,
            "suggestions": list(map(suggestion_json, found)),
        }
    )


def files(request: Request) -> Response:
    """What the photo's file and its sidecars say now, and whose words it is."""
    with workspace_of(request).reader() as reader:
        path = reader.photo(request.path_params["number"]).path
    try:
        found = statements.in_files(path)
    except PhotoError as error:
        raise PhotoError(f"the photo cannot be read: {error}") from error
    return json_response(
        {
            "statements": [
                {
                    "what": one.what,
                    "file": text(one.file.name) if one.file else "",
                    "is_photo": one.file == path,
                    "text": text(one.text),
                    "author": one.author(),
                    "source": one.source,
                    "field": one.field,
                }
                for one in found.found
            ],
            "problems": [
                {"file": text(one.path.name), "reason": text(one.reason), "partial": one.partial}
                for one in found.problems
            ],
        }
    )


def set_caption(request: Request, body: Body) -> Response:
    """Store a caption of the person; an empty one removes it."""
    caption = body.text("text")
    with workspace_of(request).reader() as reader:
        index, details = find(reader, request.path_params["number"])
        index.set_caption(details.path, caption)
        _, details = find(reader, request.path_params["number"])
    return json_response(words_json(details))


def edit_keywords(request: Request, body: Body) -> Response:
    """Add keywords of the person, and remove some."""
    add, remove = body.texts("add"), body.texts("remove")
    with workspace_of(request).reader() as reader:
        index, details = find(reader, request.path_params["number"])
        index.edit_keywords(details.path, add=add, remove=remove)
        _, details = find(reader, request.path_params["number"])
    return json_response(words_json(details))


def write(request: Request, body: Body) -> Response:
    """Write caption and keywords into the photo or its sidecar."""
    options = WriteOptions(in_place=body.flag("in_place"), existing="replace")
    selection = WriteSelection(keywords=DEFAULT_KEYWORDS if body.flag("keywords") else 0)
    with workspace_of(request).reader() as reader:
        index, details = find(reader, request.path_params["number"])
    with (
        Index.open(index.path, write=True) as opened,
        IndexWriter(opened, options, selection) as writer,
    ):
        outcome = writer.write(_photo(details))
    if isinstance(outcome, NothingToWrite):
        raise UsageError(*_NOTHING[outcome])
    return json_response({"state": outcome.status.value, "message": _said(outcome)})


def undo(request: Request, body: Body) -> Response:
    """Undo what captioner wrote into the photo and its sidecars."""
    with workspace_of(request).reader() as reader:
        index, details = find(reader, request.path_params["number"])
    with Index.open(index.path, write=True) as opened, IndexWriter(opened) as writer:
        outcomes = writer.undo(_photo(details))
    if not outcomes:
        raise UsageError(
            "there is nothing to undo.", "captioner has written nothing into this photo's files."
        )
    refused = [one for one in outcomes if one.error]
    if refused:
        raise CaptionerError(" ".join(map(_said, refused)))
    names = " and ".join(text(one.target.name) for one in outcomes)
    return json_response({"state": "undone", "message": f"{names}: as before captioner wrote."})


def find(reader: Reader, number: int) -> tuple[Index, PhotoDetails]:
    """The details of a photo, and the index that it is in.

    Raises
    ------
    NotFoundError
        If there is no such photo.
    """
    reader.photo(number)
    index, row = reader.locate(number)
    details = index.details(row)
    if details is None:
        raise NotFoundError(f"there is no photo number {number} in the index.", "Search again.")
    return index, details


def suggestion_json(one: Suggestion) -> dict[str, object]:
    """A sentence that a model considered, for scripts."""
    return {
        "text": one.caption.text,
        "confidence": one.caption.confidence,
        "log_probability": one.caption.log_probability,
        "cosine": one.cosine,
        "words": one.mean_word_probability,
        "trusted": one.trusted,
    }


def words_json(details: PhotoDetails) -> dict[str, object]:
    """Captions and keywords of a photo, for scripts."""
    shown = details.caption
    return {
        "caption": {
            "text": text(shown.text),
            "kind": shown.kind,
            "source": shown.source,
            "confidence": shown.confidence,
        },
        "captions": [
            {
                "text": text(one.text),
                "source": one.source,
                "model": one.model_id,
                "confidence": one.confidence,
            }
            for one in details.captions
        ],
        "in_file": text(details.facts.caption or ""),
        "keywords": [
            {"word": text(one.word), "probability": one.probability} for one in details.keywords
        ],
        "edited_keywords": list(map(text, details.keyword_edits.added)),
        "rejected_keywords": list(map(text, details.keyword_edits.rejected)),
        "file_keywords": list(map(text, details.facts.keywords)),
    }


def _facts(details: PhotoDetails) -> Sequence[tuple[str, str]]:
    """What is known of a photo's file, as names and values."""
    known = details.facts
    pixels = (details.width or 0) * (details.height or 0) / 1e6
    found: Mapping[str, str | None] = {
        "Title": known.title,
        "Taken": (known.taken_at or "").replace("T", " ") + (known.taken_offset or ""),
        "Camera": known.camera,
        "Lens": known.lens,
        "Size": f"{details.width:,} × {details.height:,} pixels ({pixels:.1f} megapixels)"
        if details.width and details.height
        else None,
        "Format": details.format,
        "File size": f"{details.size / 1e6:,.2f} MB",
        "Changed": _local_time(details.mtime_ns),
        "Indexed": details.recorded_at.replace("T", " ").replace("+00:00", " UTC"),
        "Described by": details.model_id and f"model {details.model_id}",
        "Folder": str(details.path.parent),
    }
    return [(name, value) for name, value in found.items() if value]


def _local_time(nanoseconds: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(nanoseconds / 1e9, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return None


def _photo(details: PhotoDetails) -> Photo:
    """The file of a photo as it is now.

    Raises
    ------
    PhotoError
        If it is not there.
    """
    try:
        return Photo.of(details.path, details.path.stat())
    except OSError as error:
        raise PhotoError(f"the photo cannot be opened: {explain(error)}") from error


def _said(outcome: WriteOutcome) -> str:
    """What became of a file, in a sentence."""
    name = text(outcome.target.name)
    if outcome.error:
        return f"{name} is left unchanged: {outcome.error}"
    if outcome.unreadable:
        return (
            f"{text(outcome.unreadable.path.name)} may contain a caption by a person and cannot be "
            f"read reliably: {outcome.unreadable.reason}"
        )
    match outcome.status:
        case WriteStatus.WRITTEN:
            why = f" The photo itself is unchanged: {outcome.not_in_place}"
            return f"Written to {name}." + (why if outcome.not_in_place else "")
        case WriteStatus.UNCHANGED:
            return f"{name} has it already."
        case WriteStatus.SKIPPED:
            before = text(outcome.before)
            return f"Nothing is written: the file has a caption by a person (“{before}”)."
        case _:
            return f"{name} keeps captioner's earlier caption."


ROUTES = [
    Route("/photo/{number:int}", photo),
    Route("/api/photo/{number:int}", words),
    Route("/api/photo/{number:int}/neighbours", neighbours),
    Route("/api/photo/{number:int}/suggestions", suggestions),
    Route("/api/photo/{number:int}/files", files),
    Route("/api/photo/{number:int}/caption", posted(set_caption), methods=["POST"]),
    Route("/api/photo/{number:int}/keywords", posted(edit_keywords), methods=["POST"]),
    Route("/api/photo/{number:int}/write", posted(write), methods=["POST"]),
    Route("/api/photo/{number:int}/undo", posted(undo), methods=["POST"]),
]
