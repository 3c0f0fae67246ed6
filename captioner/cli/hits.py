"""Output of found photos: printing, opening in a viewer, previews in the terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import typer

from captioner.cli import console
from captioner.errors import CaptionerError, PhotoError, UsageError

if TYPE_CHECKING:
    from captioner.index import Hit

Form = Literal["lines", "json", "paths", "nul"]
"""How hits are printed: formatted for a terminal or in three columns, as JSON, or as paths that end
with a line break or NUL."""

PREVIEW = 320
"""Longer side of a preview in pixels."""
COLUMNS = 40
"""Width of a preview in terminal columns."""
OPENED = 5
"""Maximum number of photos that `--open` opens."""


def form(*, as_json: bool, print_path: bool, nul: bool, preview: bool) -> Form:
    """The output form that the options select.

    Raises
    ------
    UsageError
        If they contradict each other.
    """
    if as_json + (print_path or nul) + preview > 1:
        raise UsageError(
            "--json, --print-path (or -0) and --preview are mutually exclusive.",
            "Use only one.",
        )
    if preview and not console.stdout_is_terminal():
        raise UsageError("--preview works only in a terminal.", "Omit it.")
    if as_json:
        return "json"
    return "nul" if nul else "paths" if print_path else "lines"


def print_hits(hits: Sequence[Hit], form: Form, *, preview: bool = False) -> None:
    """Print photos that were found, best first."""
    for hit in hits:
        score = None if hit.score is None else round(hit.score, 4)
        if form == "json":
            console.json_line(_record(hit, score))
        elif form in {"paths", "nul"}:
            # As bytes, since a name may be invalid text; for a terminal, control codes are escaped.
            end = b"\0" if form == "nul" else b"\n"
            safe = form == "paths" and console.stdout_is_terminal()
            path = console.shown(hit.path) if safe else hit.path
            sys.stdout.buffer.write(os.fsencode(path) + end)
        elif console.stdout_is_terminal():
            shown = "" if score is None else f"{score:.2f}"
            footer = _footer(hit)
            console.block(
                hit.path, [hit.caption or console.NOT_RECOGNISED], score=shown, footer=footer
            )
            if preview:
                _preview(hit.path)
        else:
            caption = hit.caption or console.NOT_RECOGNISED
            database = (hit.database,) if hit.database else ()
            console.line(hit.path, caption, "" if score is None else f"{score:.4f}", *database)
    sys.stdout.flush()


def _record(hit: Hit, score: float | None) -> dict[str, object]:
    record: dict[str, object] = {
        "path": hit.path,
        "caption": hit.caption or None,
        "kind": hit.kind,
        "source": hit.source,
        "confidence": hit.confidence,
        "score": score,
        "matched": list(hit.matched),
        "file_title": hit.title,
        "taken_at": hit.taken_at,
        "camera": hit.camera,
        "latitude": hit.latitude,
        "longitude": hit.longitude,
        "keywords": [
            {"word": keyword.word, "probability": keyword.probability} for keyword in hit.keywords
        ],
        "file_keywords": list(hit.file_keywords),
        "copies": list(hit.copies),
        "edited_keywords": list(hit.edited_keywords),
    }
    if hit.database:
        record["database"] = hit.database
    return record


def _footer(hit: Hit) -> str:
    """Which of your own texts match, and how many copies of the photo there are."""
    notes = ["your caption"] if hit.source == "person" else []
    notes += [f"your {what}" for what in hit.matched if what in {"title", "keyword"}]
    notes += ["its name"] if "name" in hit.matched else []
    copies = len(hit.copies)
    notes += [f"in {hit.database}"] if hit.database else []
    notes += [f"{copies} more {'copy' if copies == 1 else 'copies'}"] if copies else []
    return f"({', '.join(notes)})" if notes else ""


def open_hits(hits: Sequence[Hit]) -> None:
    """Open the best photos in the system's viewer.

    Raises
    ------
    CaptionerError
        If the system has no program for that.
    """
    for hit in hits[:OPENED]:
        if sys.platform == "win32":
            os.startfile(hit.path)
            continue
        opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
        if opener is None:
            raise CaptionerError(
                "found no program that opens photos.", "Install xdg-open (package xdg-utils)."
            )
        # Not waited for; its messages must not mix with the output.
        subprocess.Popen(
            [opener, hit.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    if len(hits) > OPENED:
        console.note(f"Opened the best {OPENED} of {len(hits)}.")


def _preview(path: str) -> None:
    """Draw a small preview below the path, in the best way that the terminal supports."""
    from PIL import Image
    from rich.console import Console

    from captioner.errors import PhotoError
    from captioner.photos.read import read
    from captioner.types import Photo

    try:
        # Queries the terminal for its graphics support when it is imported.
        from textual_image.renderable import Image as Picture
    except ImportError:
        raise CaptionerError(
            "--preview needs the package textual-image.",
            "Install it with `pip install 'captioner[preview]'`.",
        ) from None
    try:
        found = Path(path).stat()
        pixels = read(Photo.of(path, found), PREVIEW)
    except (OSError, PhotoError) as error:
        reason = error.reason if isinstance(error, PhotoError) else f"{error.strerror}."
        console.cannot_read(path, reason)
        return
    # The model input is square: restore the aspect ratio.
    longest = max(pixels.width, pixels.height)
    shape = (
        max(1, PREVIEW * pixels.width // longest),
        max(1, PREVIEW * pixels.height // longest),
    )
    Console().print(Picture(Image.fromarray(pixels.rgb).resize(shape), width=COLUMNS))


def exit_unreadable(photo: str, error: PhotoError, *, as_json: bool) -> NoReturn:
    """Report that the photo to compare with cannot be read, and exit with code 1."""
    console.cannot_read(photo, error.reason)
    if as_json:
        console.json_line({"path": photo, "error": error.reason})
    raise typer.Exit(1) from None
