"""Options for writing captions, and what became of one file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal

from captioner.metadata.errors import RefusedError

Existing = Literal["skip", "replace", "append"]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write captions."""

    in_place: bool = False
    """Into the photo if possible; otherwise into its sidecar."""
    existing: Existing = "skip"
    """What to do with an existing caption: "skip" keeps it, "replace" replaces captioner's own,
    "append" does the same and appends a line to a human-authored one."""
    dry_run: bool = False
    sync: bool = True
    """Whether to wait for the disk."""
    keep_times: bool = False
    """Whether to keep modification times."""


class WriteStatus(Enum):
    """What became of a file. The values are those of `state` in JSON."""

    WRITTEN = "written"
    UNCHANGED = "same"
    """The caption is there already."""
    OWN_CAPTION_KEPT = "kept"
    """Another caption of captioner is there, which `existing` leaves."""
    SKIPPED = "skipped"
    """There is a human-authored caption, or metadata that may hold one."""
    REFUSED = "refused"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class UnreadableMetadata:
    """Metadata that cannot be read for certain, and therefore counts as human-authored."""

    path: Path
    """The photo, or one of its sidecars."""
    reason: RefusedError


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of one photo, or of its sidecar."""

    photo: Path
    target: Path
    """The file that was written, or would have been."""
    status: WriteStatus
    before: str = ""
    """The caption that was there."""
    after: str = ""
    omitted: tuple[str, ...] = ()
    """Which of EXIF and IPTC do not hold the caption, although other programs may read it there."""
    not_in_place: RefusedError | None = None
    """Why the sidecar was written instead of the photo."""
    unreadable: UnreadableMetadata | None = None
    """What could not be read for certain, if the photo was skipped for that reason."""
    error: RefusedError | None = None
    """Why nothing was written."""

    @property
    def is_photo(self) -> bool:
        """Whether the file is the photo itself, not its sidecar."""
        return self.photo == self.target
