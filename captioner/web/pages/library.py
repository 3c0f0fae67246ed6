"""The page "Library": index folders with live progress; failures, duplicates, missing photos."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from captioner.errors import UsageError
from captioner.index import Counts, DuplicateGroup, IndexedPhoto
from captioner.indexing import UpdateSummary
from captioner.indexing_run import Problem, Progress, existing_folder
from captioner.pace import spell_pace, spell_time
from captioner.rendering.templates import counted, text
from captioner.web.responses import events, json_response, page, workspace_of

TITLE = "Library"

FAILURES = 100
"""Photos of each reason for a failure, at most."""
GROUPS = 60
"""Groups of duplicates on a page."""
MISSING = 200
"""Missing photos on a page."""


def library(request: Request) -> Response:
    """The page: the folders, and what indexing is doing."""
    workspace = workspace_of(request)
    with workspace.reader() as reader:
        counts, roots = reader.index.counts(), reader.index.roots()
        emptied = reader.index.empty_roots()
    progress = workspace.indexer.progress()
    return page(
        request,
        "library.html",
        tabs=_tabs(counts),
        counts=_spelled_counts(counts),
        roots=roots,
        emptied=emptied,
        database=workspace.databases[0],
        is_running=workspace.indexer.is_running,
        was_run=progress is not None,
    )


def failures(request: Request) -> Response:
    """The photos that could not be read, by reason."""
    with workspace_of(request).reader() as reader:
        counts, groups = reader.index.counts(), reader.index.failures(FAILURES)
        numbers = {one.id: reader.number(0, one.id) for group in groups for one in group.examples}
    return page(
        request, "failures.html", tabs=_tabs(counts), groups=groups, numbers=numbers,
        sentence=_sentence,
    )  # fmt: skip


def duplicates(request: Request) -> Response:
    """Files with the same content, side by side."""
    with workspace_of(request).reader() as reader:
        counts, groups = reader.index.counts(), reader.index.duplicates()
        at, pages = _page_number(request, len(groups), GROUPS)
        shown = groups[(at - 1) * GROUPS : at * GROUPS]
        numbers = {one.id: reader.number(0, one.id) for group in shown for one in group.photos}
    return page(
        request, "duplicates.html", tabs=_tabs(counts), groups=shown, numbers=numbers,
        total=_spelled_duplicates(groups), at=at, pages=pages, size=spell_bytes, date=_date,
    )  # fmt: skip


def missing(request: Request) -> Response:
    """Photos in the index whose files are gone or ignored, and why."""
    with workspace_of(request).reader() as reader:
        counts, photos = reader.index.counts(), reader.index.missing_photos()
        at, pages = _page_number(request, len(photos), MISSING)
        shown = photos[(at - 1) * MISSING : at * MISSING]
        warnings = reader.index.removal_warnings(photos)
        numbers = {one.id: reader.number(0, one.id) for one in shown}
    return page(
        request, "missing.html", tabs=_tabs(counts), photos=shown, numbers=numbers,
        warnings=warnings, at=at, pages=pages, why=_why,
    )  # fmt: skip


async def check(request: Request) -> Response:
    """Whether a path that a person typed is a folder that can be indexed: no photo is opened."""
    folder = await run_in_threadpool(existing_folder, await _typed(request))
    return json_response({"folder": text(folder), "known": await _is_known(request, folder)})


async def start(request: Request) -> Response:
    """Start to index a folder that a person typed and confirmed, or all that are known."""
    content = await _content(request)
    if content.get("confirmed") is not True:
        raise UsageError("this was not confirmed.", "Confirm it on the page.")
    folders = []
    if "folder" in content:
        folders = [await run_in_threadpool(existing_folder, _folder(content))]
    workspace_of(request).indexer.start(folders, retry_failed=content.get("retry_failed") is True)
    return json_response({"started": True}, 202)


async def stop(request: Request) -> Response:
    """Stop indexing, keeping what is done."""
    workspace_of(request).indexer.stop()
    return json_response({"stopping": True}, 202)


async def progress(request: Request) -> Response:
    """What indexing is doing, as events until it has ended; at once, if nothing runs."""
    workspace = workspace_of(request)

    async def stream() -> AsyncIterator[Mapping[str, object]]:
        async for found, problems, is_stopping in workspace.indexer.updates():
            event = _event(found, problems, is_stopping)
            if found.is_over:
                event |= await run_in_threadpool(_state, request)
            yield event

    return events(stream())


def _state(request: Request) -> dict[str, object]:
    with workspace_of(request).reader() as reader:
        counts, roots = reader.index.counts(), reader.index.roots()
    return {"counts": _spelled_counts(counts), "roots": [text(root) for root in roots]}


def _event(found: Progress, problems: list[Problem], is_stopping: bool) -> dict[str, object]:
    return {
        "state": "stopping" if is_stopping else found.state,
        "over": found.is_over,
        "folders": [text(folder) for folder in found.folders],
        "found": found.found,
        "done": found.done,
        "total": found.total,
        "failed": found.failed,
        "problems": found.problems,
        "pace": "" if found.photos_per_second is None else spell_pace(found.photos_per_second),
        "left": "" if found.seconds_left is None else spell_time(found.seconds_left),
        "current": text(found.current),
        "summary": _spell_summary(found.summary, found.seconds) if found.summary else "",
        "error": " ".join([_sentence(found.reason), found.remedy]).strip(),
        "new_problems": [
            {"path": text(one.path), "reason": text(one.reason), "photo": one.is_photo}
            for one in problems
        ],
    }


async def _content(request: Request) -> dict[str, object]:
    try:
        content = await request.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UsageError("the request makes no sense.", "Reload the page and try again.")
    return content


def _folder(content: Mapping[str, object]) -> str:
    typed = content.get("folder", "")
    if not isinstance(typed, str):
        raise UsageError("the request makes no sense.", "Reload the page and try again.")
    return typed


async def _typed(request: Request) -> str:
    return _folder(await _content(request))


async def _is_known(request: Request, folder: Path) -> bool:
    def known() -> bool:
        with workspace_of(request).reader() as reader:
            return any(root == folder or root in folder.parents for root in reader.index.roots())

    return await run_in_threadpool(known)


def _tabs(counts: Counts) -> list[tuple[str, str]]:
    return [
        ("/library", "Folders"),
        ("/library/failures", f"Not read ({counts.failed:,})"),
        ("/library/duplicates", "Duplicates"),
        ("/library/missing", f"Missing ({counts.missing + counts.ignored:,})"),
    ]


def _spelled_counts(counts: Counts) -> list[tuple[str, str]]:
    return [
        (name, f"{number:,}")
        for name, number in (
            ("photos", counts.photos),
            ("described", counts.described),
            ("could not be read", counts.failed),
            ("missing", counts.missing),
            ("ignored", counts.ignored),
        )
        if number or name in ("photos", "described")
    ]


def _spelled_duplicates(groups: list[DuplicateGroup]) -> str:
    if not groups:
        return "No two files have the same content."
    extra = sum(len(group.photos) - 1 for group in groups)
    waste = spell_bytes(sum(group.extra_bytes for group in groups))
    return (
        f"{counted(len(groups))} in more than one file: {counted(extra, 'extra file')}, "
        f"{waste} in all."
    )


def _spell_summary(summary: UpdateSummary, seconds: float) -> str:
    parts = [f"{summary.described:,} described"] if summary.described else []
    parts += summary.changes()
    if rest := summary.unchanged - summary.back:
        parts.append(f"{rest:,} unchanged")
    said = f"{', '.join(parts)}, in {spell_time(seconds)}." if parts else "No photos found."
    if summary.stopped:
        said = f"Stopped; what was done is kept. {said} Index again to continue."
    return said


def _why(photo: IndexedPhoto) -> str:
    if photo.reason == "ignored":
        return "An ignore file (.captionerignore) excludes it now."
    return "The file is gone, and its folder and drive are there."


def _page_number(request: Request, number: int, size: int) -> tuple[int, int]:
    """The page that is asked for, from 1, and how many there are."""
    pages = max(1, math.ceil(number / size))
    asked = request.query_params.get("page", "1")
    at = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1
    return min(max(at, 1), pages), pages


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _date(mtime_ns: int) -> str:
    """The local date and time of a file's last change."""
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "unknown"


def spell_bytes(number: int) -> str:
    """A size of files: "812 kB", "1.2 GB"."""
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("bytes", "kB") else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


ROUTES = [
    Route("/library", library),
    Route("/library/failures", failures),
    Route("/library/duplicates", duplicates),
    Route("/library/missing", missing),
    Route("/api/library/check", check, methods=["POST"]),
    Route("/api/library/index", start, methods=["POST"]),
    Route("/api/library/stop", stop, methods=["POST"]),
    Route("/api/library/progress", progress),
]
