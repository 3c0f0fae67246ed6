"""Review: one photo at a time whose caption a person should look at."""

from __future__ import annotations

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from captioner import corrections, review
from captioner.errors import CaptionerError, UsageError
from captioner.index import Index, PhotoDetails
from captioner.rendering.templates import text
from captioner.review import Decision, Disagreement, DisagreementFinder
from captioner.web.bodies import Body, posted
from captioner.web.pages.photo import find, suggestion_json
from captioner.web.responses import json_response, page, workspace_of
from captioner.web.workspace import Reader, Workspace

TITLE = "Review"
QUEUES = ("uncertain", "wordless", "disagreements")
OUTCOMES = ("accepted", "corrected")

Sentences = list[dict[str, object]]


def show(request: Request) -> Response:
    """The page; the photo to look at is fetched by its script."""
    workspace = workspace_of(request)
    names = [choice.name for choice in workspace.models]
    return page(request, "review.html", models=names, number_of_models=len(names))


def upcoming(request: Request) -> Response:
    """The next photo of a queue, with the sentences to choose from."""
    workspace = workspace_of(request)
    queue = request.query_params.get("queue", QUEUES[0])
    with workspace.reader() as reader:
        if queue == "disagreements":
            return json_response(_disagreement(workspace, reader) | _progress(workspace))
        if queue not in ("uncertain", "wordless"):
            raise UsageError("there is no such queue.", "Choose another one.")
        rows = workspace.review.upcoming(
            reader.index, "wordless" if queue == "wordless" else "uncertain", 2
        )
        numbers = [reader.number(0, row) for row in rows]
        found: dict[str, object] = {"photo": None, "then": None, "finished": True}
        if numbers:
            index, details = find(reader, numbers[0])
            sentences, note = _sentences(workspace, index, details)
            found = {
                "photo": _photo(numbers[0], details),
                "sentences": sentences,
                "note": note,
                "then": numbers[1] if len(numbers) > 1 else None,
            }
        return json_response(found | _progress(workspace))


def left(request: Request) -> Response:
    """How many photos are to be reviewed, which takes a moment for large libraries."""
    with workspace_of(request).reader() as reader:
        found = reader.index.unreviewed()
    return json_response({"uncertain": found.captioned, "wordless": found.wordless})


def decide(request: Request, body: Body) -> Response:
    """Store a caption as the person's."""
    workspace = workspace_of(request)
    caption, outcome = body.text("text"), body.choice("outcome", OUTCOMES)
    with workspace.reader() as reader:
        index, details = _reviewed(reader, body.number("number"))
        workspace.review.decide(
            index, details, caption, "accepted" if outcome == "accepted" else "corrected"
        )
        return json_response(_progress(workspace))


def skip(request: Request, body: Body) -> Response:
    """Leave a photo as it is; it is not shown again in this session."""
    workspace = workspace_of(request)
    with workspace.reader() as reader:
        _, details = _reviewed(reader, body.number("number"))
        workspace.review.skip(details)
        return json_response(_progress(workspace))


def undo(request: Request, body: Body) -> Response:
    """Take the last decision back, and show its photo again."""
    workspace = workspace_of(request)
    with workspace.reader() as reader:
        decision = workspace.review.undo(reader.index)
        if decision is None:
            raise UsageError("there is nothing to undo.", "Nothing was decided in this session.")
        number = reader.number(0, decision.photo)
        index, details = find(reader, number)
        sentences, note = _sentences(workspace, index, details)
        return json_response(
            {
                "photo": _photo(number, details),
                "sentences": sentences,
                "note": note,
                "then": None,
                "undone": {"outcome": decision.outcome, "text": text(decision.caption)},
            }
            | _progress(workspace)
        )


def export(request: Request) -> Response:
    """All captions by the person, with their photos, as a ZIP archive of a training corpus."""
    with workspace_of(request).reader() as reader:
        _, pieces = corrections.archive(reader.index)
    return StreamingResponse(
        pieces,
        media_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="captioner-corrections.zip"',
            "Content-Encoding": "identity",  # photos are compressed already
        },
    )


def _reviewed(reader: Reader, number: int) -> tuple[Index, PhotoDetails]:
    """A photo of the first index, which is the one that is reviewed."""
    index, details = find(reader, number)
    if index is not reader.index:
        raise UsageError(
            "only photos of the first database are reviewed.", "Start with this database first."
        )
    return index, details


def _sentences(workspace: Workspace, index: Index, details: PhotoDetails) -> tuple[Sentences, str]:
    """Sentences to choose from, and why there are not more; each model's by itself."""
    found: Sentences = []
    note = ""
    several = len(workspace.models) > 1
    for choice in workspace.models:
        try:
            with workspace.suggester(choice.number) as model:
                considered = review.suggestions(index, details, model)
        except CaptionerError as error:
            name = f"{choice.name}: " if several else ""
            note = f"{name}{error}"
            continue
        for one in considered[:3] if several else considered:
            same = next((other for other in found if other["text"] == one.caption.text), None)
            if same:
                same["model"] = f"{same['model']}, {choice.name}"
                continue
            found.append(suggestion_json(one) | {"model": choice.name if several else ""})
    if not found:
        found = [
            {"text": one.text, "confidence": one.confidence, "trusted": True}
            for one in details.captions
            if one.source == "model"
        ]
    return found, note


def _disagreement(workspace: Workspace, reader: Reader) -> dict[str, object]:
    if len(workspace.models) < 2:
        raise UsageError(
            "disagreements are those of two models, and one is loaded.",
            "Start with two: captioner browse --model A --model B.",
        )
    with workspace.suggester(0) as first, workspace.suggester(1) as second:
        if workspace.finder is None:
            workspace.finder = DisagreementFinder(first, second)
        finder = workspace.finder
        found = workspace.review.disagreement(reader.index, finder)
    state: dict[str, object] = {
        "photo": None, "then": None, "examined": finder.examined, "finished": finder.finished,
    }  # fmt: skip
    if found is None:
        return state
    number = reader.number(0, found.photo)
    _, details = find(reader, number)
    return state | {"photo": _photo(number, details), "sentences": _pair(workspace, found)}


def _pair(workspace: Workspace, found: Disagreement) -> Sentences:
    return [
        {"text": sentence, "trusted": True, "model": choice.name}
        for sentence, choice in zip((found.first, found.second), workspace.models, strict=False)
    ]


def _photo(number: int, details: PhotoDetails) -> dict[str, object]:
    shown = details.caption
    return {
        "number": number,
        "name": text(details.path.name),
        "width": details.width,
        "height": details.height,
        "taken": (details.facts.taken_at or "").replace("T", " "),
        "caption": text(shown.text) if shown.kind == "sentence" else "",
        "keywords": [text(one.word) for one in details.keywords],
    }


def _progress(workspace: Workspace) -> dict[str, object]:
    decisions: tuple[Decision, ...] = workspace.review.decisions
    counted = Counter(decision.outcome for decision in decisions)
    return {
        "progress": {
            "accepted": counted["accepted"],
            "corrected": counted["corrected"],
            "skipped": counted["skipped"],
        }
    }


ROUTES = [
    Route("/review", show),
    Route("/api/review", upcoming),
    Route("/api/review/left", left),
    Route("/api/review/decide", posted(decide), methods=["POST"]),
    Route("/api/review/skip", posted(skip), methods=["POST"]),
    Route("/api/review/undo", posted(undo), methods=["POST"]),
    Route("/review/corrections.zip", export),
]
