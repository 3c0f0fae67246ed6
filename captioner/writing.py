"""Writing what the index has of photos into their files or sidecars, and undoing it.

The command line and the page use it. How a file is changed without loss is the business of
`captioner.metadata`; what is here is the choice of what to write, and the index kept up to date.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Literal

from captioner.hashing import hash_file
from captioner.index import Index
from captioner.metadata.fields import CaptionData, shorten_alt_text
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.writer import CaptionWriter
from captioner.types import Photo, StoredCaption

DEFAULT_OPTIONS = WriteOptions()


class NothingToWrite(Enum):
    """Why the index has nothing to write for a photo. The values are those of `state` in JSON."""

    UNKNOWN = "unknown"
    """It is not in the index."""
    CHANGED = "changed"
    """Its file has changed since it was indexed."""
    UNSURE = "unsure"
    """The model trusts no sentence, and keywords are not asked for."""


@dataclass(frozen=True, slots=True)
class WriteSelection:
    """What to write of the captions in the index. A person's keywords are always written."""

    field: Literal["description", "alt", "both"] = "description"
    keywords: int = 0
    """The model's, at most."""
    min_confidence: float = 0

    def select(self, index: Index, photo: Photo) -> StoredCaption | NothingToWrite:
        """What the index has to write for a photo as it is now; otherwise why there is nothing."""
        stored = index.stored_caption(photo.path)
        if not stored:
            return NothingToWrite.UNKNOWN
        if (stored.photo.size, stored.photo.mtime_ns) != (photo.size, photo.mtime_ns):
            return NothingToWrite.CHANGED
        if stored.text and stored.confidence >= self.min_confidence:
            return stored
        # Keywords have thresholds of their own, whatever the confidence of the caption.
        if stored.edited_keywords or (self.keywords and stored.keywords):
            return replace(stored, text=None)
        return NothingToWrite.UNSURE

    def caption_data(self, stored: StoredCaption) -> CaptionData:
        """The caption to write for one photo; a human-authored one has no model."""
        has_alt_text = stored.text and self.field in ("alt", "both")
        return CaptionData(
            description=stored.text if self.field in ("description", "both") else None,
            alt_text=shorten_alt_text(stored.text) if stored.text and has_alt_text else None,
            keywords=stored.keywords[: self.keywords],
            edited_keywords=stored.edited_keywords,
            model=stored.model_id,
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
        )


class IndexWriter:
    """Writes what an index has of photos, and undoes it, one photo at a time. A context manager.

    Parameters
    ----------
    index
        Open for writing: it stores how to undo each write, and what files are like after it.
    """

    def __init__(
        self,
        index: Index,
        options: WriteOptions = DEFAULT_OPTIONS,
        selection: WriteSelection | None = None,
    ) -> None:
        self._index, self._options = index, options
        self._selection = selection or WriteSelection()
        self._records = index.writes(sync=options.sync)
        self._writer = CaptionWriter(self._records, options)

    def __enter__(self) -> IndexWriter:
        self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)

    def write(self, photo: Photo) -> WriteOutcome | NothingToWrite:
        """Write what the index has of one photo, completely or not at all.

        Parameters
        ----------
        photo
            As it is now: one that has changed since it was indexed is left alone.
        """
        stored = self._selection.select(self._index, photo)
        if isinstance(stored, NothingToWrite):
            return stored
        caption = self._selection.caption_data(stored)
        outcome = self._writer.write(photo.path, caption)
        if outcome.status is WriteStatus.SKIPPED and not outcome.unreadable:
            outcome = self._write_keywords(photo.path, caption) or outcome
        if outcome.status is WriteStatus.WRITTEN:
            self._refresh(photo, outcome)
        return outcome

    def undo(self, photo: Photo) -> list[WriteOutcome]:
        """Undo what captioner wrote into a photo and its sidecars: an outcome for each file."""
        outcomes = self._writer.undo(photo.path)
        for outcome in outcomes:
            if not outcome.error:
                self._refresh(photo, outcome)
        return outcomes

    def _write_keywords(self, path: Path, caption: CaptionData) -> WriteOutcome | None:
        """Write a person's keywords where a person's caption is, which stays; None without any."""
        if not caption.edited_keywords:
            return None
        alone = replace(caption, description=None, alt_text=None, keywords=())
        return self._writer.write(path, alone)

    def _refresh(self, before: Photo, outcome: WriteOutcome) -> None:
        """Store size, date and hash of a photo that was written in the index.

        If it was moved or deleted since, the next update of the index notices.
        """
        if self._options.dry_run or not outcome.is_photo:
            return
        try:
            after = Photo.of(before.path, before.path.stat())
            content_hash = hash_file(before.path)
        except OSError:
            return
        self._records.update_photo(before, after, content_hash)
