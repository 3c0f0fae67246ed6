"""What becomes of photos that were found: printed, opened, shown as pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from captioner.cli import console
from captioner.errors import CaptionerError, UsageError

if TYPE_CHECKING:
    from captioner.index import Hit

Form = Literal["lines", "json", "paths", "nul"]
"""How hits are printed: for the eye or in three columns, as JSON, or as bare paths that end with a
line's end or with NUL."""

PREVIEW = 320
"""Pixels of a picture's longer side."""
COLUMNS = 40
"""Of the terminal, that a picture takes."""
OPENED = 5
"""Photos that `--open` opens at most: nobody wants fifty windows."""


def form(*, as_json: bool, print_path: bool, nul: bool, preview: bool) -> Form:
    """What the options for the output add up to.

    Raises
    ------
    UsageError
        Where they contradict each other.
    """
    if as_json + (print_path or nul) + preview > 1:
        raise UsageError(
            "--json, --print-path (or -0) and --preview are mutually exclusive.",
            "Give one of them.",
        )
    if preview and not console.stdout_is_terminal():
        raise UsageError("--preview works only in a terminal.", "Leave it out here.")
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
            # As bytes, since a name may be no text; but none that would steer a terminal.
            end = b"\0" if form == "nul" else b"\n"
            safe = form == "paths" and console.stdout_is_terminal()
            path = console.shown(hit.path) if safe else hit.path
            sys.stdout.buffer.write(os.fsencode(path) + end)
        elif console.stdout_is_terminal():
            shown = "" if score is None else f"{score:.2f}"
            aside = _whose(hit)
            console.block(
                hit.path, [hit.caption or console.NOT_RECOGNISED], score=shown, aside=aside
            )
            if preview:
                _show(hit.path)
        else:
            said = hit.caption or console.NOT_RECOGNISED
            console.line(hit.path, said, "" if score is None else f"{score:.4f}")
    sys.stdout.flush()


def _record(hit: Hit, score: float | None) -> dict[str, object]:
    return {
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
    }


def _whose(hit: Hit) -> str:
    """What of a hit is a person's, and where else the same photo is."""
    own = ["your caption"] if hit.source == "person" else []
    own += [f"your {what}" for what in hit.matched if what in {"title", "keyword"}]
    own += ["its name"] if "name" in hit.matched else []
    copies = len(hit.copies)
    own += [f"{copies} more {'copy' if copies == 1 else 'copies'}"] if copies else []
    return f"({', '.join(own)})" if own else ""


def open_hits(hits: Sequence[Hit]) -> None:
    """Open the best of the photos in the system's viewer.

    Raises
    ------
    CaptionerError
        Where the system has no program for that.
    """
    for hit in hits[:OPENED]:
        if sys.platform == "win32":
            os.startfile(hit.path)
            continue
        opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
        if opener is None:
            raise CaptionerError(
                "there is no program that opens photos.", "Install xdg-open (package xdg-utils)."
            )
        # Nobody waits for the viewer, and what it has to say is no data of ours.
        subprocess.Popen(
            [opener, hit.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    if len(hits) > OPENED:
        console.note(f"Opened the best {OPENED} of {len(hits)}.")


def _show(path: str) -> None:
    """Draw a photo small below its name, by the best means that the terminal has."""
    from PIL import Image
    from rich.console import Console

    from captioner.errors import PhotoError
    from captioner.photos.read import read
    from captioner.types import Photo

    try:
        # Asks the terminal what it can show, as soon as it is imported.
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
    # What was squashed to a square gets its shape back.
    longest = max(pixels.width, pixels.height)
    shape = (
        max(1, PREVIEW * pixels.width // longest),
        max(1, PREVIEW * pixels.height // longest),
    )
    Console().print(Picture(Image.fromarray(pixels.rgb).resize(shape), width=COLUMNS))
