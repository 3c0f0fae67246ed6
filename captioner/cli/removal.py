"""Shared by `prune` and `forget`: confirmation, and JSON records of removed photos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from captioner.cli import console, streams
from captioner.errors import UsageError

if TYPE_CHECKING:
    from captioner.index import DisplayCaption, IndexedPhoto


def confirm(what: str) -> None:
    """Ask for confirmation to remove photos.

    Raises
    ------
    UsageError
        If there is no terminal.
    typer.Abort
        If the answer is no.
    """
    if not streams.stdin_is_terminal():
        raise UsageError(
            f"{what} would be removed, and there is no terminal to confirm on.", "Add --yes."
        )
    typer.confirm(f"Remove {what} from the index?", abort=True, err=True)


@contextmanager
def listed(
    entries: Iterable[IndexedPhoto], captions: Mapping[int, DisplayCaption], *, as_json: bool
) -> Iterator[None]:
    """Print photos as JSON on exit: `removed`, or `would_remove` if the body raised."""
    state = "would_remove"
    try:
        yield
        state = "removed"
    finally:
        for entry in entries if as_json else ():
            console.json_line(_record(entry, captions[entry.id], state))


def _record(entry: IndexedPhoto, caption: DisplayCaption, state: str) -> dict[str, object]:
    return {
        "path": str(entry.path),
        "state": state,
        "missing_since": entry.since,
        "missing_reason": entry.reason,
        "caption": caption.text or None,
        "kind": caption.kind,
        "source": caption.source,
        "confidence": caption.confidence,
    }
