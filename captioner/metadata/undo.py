"""What captioner has done to a file, kept so that it can be taken back to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from captioner.metadata import splice
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.replace import digest
from captioner.metadata.splice import Splice


@dataclass(frozen=True, slots=True)
class Record:
    """One write: a file's content before and after, and the way back."""

    path: Path
    """Where the file was."""
    before: bytes | None
    """SHA-256; None where there was no file."""
    after: bytes
    """SHA-256."""
    way_back: bytes
    """Packed splices over the content after."""

    def undone(self, data: bytes) -> bytes:
        """The content before, of the content after.

        Raises
        ------
        Refused
            Where the one given is another, or the way back does not lead to where it should.
        """
        if digest(data) != self.after:
            raise Refused(Reason.EDITED)
        before = splice.apply(data, splice.unpack(self.way_back))
        if digest(before) != self.before:
            raise Refused(Reason.UNVERIFIED)
        return before


class Records(Protocol):
    """Where records are kept: the index, in use; a dictionary does in tests."""

    def of(self, path: Path, after: bytes) -> Record | None:
        """The record of a write that led to this content, best of the file with this name.

        That of another name is as good: the file was moved, or is a copy.
        """
        ...

    def keep(self, record: Record) -> None:
        """Keep a record, safely by the time that it returns. It joins those of the same file."""
        ...

    def forget(self, path: Path, but: bytes | None = None) -> None:
        """Drop the records of a file, but for the one whose content after is `but`."""
        ...


def recorded(path: Path, before: bytes | None, after: bytes, way_back: list[Splice]) -> Record:
    """Make the record of a write."""
    return Record(
        path,
        None if before is None else digest(before),
        digest(after),
        splice.pack(way_back),
    )
