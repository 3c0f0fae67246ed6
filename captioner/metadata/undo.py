"""What captioner has done to a file, kept so that it can be taken back to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from captioner.hashing import hash_bytes
from captioner.metadata import splice
from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.replace import digest
from captioner.metadata.splice import Splice
from captioner.types import FileWrite


class Records(Protocol):
    """Where records are kept: the index, in use; a dictionary does in tests."""

    def find(self, path: Path, sha256_after: bytes) -> FileWrite | None:
        """The record of a write that led to this content, best of the file with this name.

        That of another name is as good: the file was moved, or is a copy.
        """
        ...

    def add(self, write: FileWrite) -> None:
        """Keep a record, safely by the time that it returns. It joins those of the same file."""
        ...

    def delete(self, path: Path, except_after: bytes | None = None) -> None:
        """Delete the records of a file, except the one that led to the content `except_after`."""
        ...


def undone(write: FileWrite, data: bytes) -> bytes:
    """The content before a write, of the content after it.

    Raises
    ------
    Refused
        Where the one given is another, or the way back does not lead to where it should.
    """
    if digest(data) != write.sha256_after:
        raise Refused(Reason.EDITED)
    before = splice.apply(data, splice.unpack(write.undo_patch))
    if digest(before) != write.sha256_before:
        raise Refused(Reason.UNVERIFIED)
    return before


def recorded(
    photo: Path,
    content: bytes,
    path: Path,
    digest_before: bytes | None,
    after: bytes,
    way_back: list[Splice],
) -> FileWrite:
    """Make the record of a write to a photo, or its sidecar, that leaves the photo as `content`."""
    return FileWrite(
        photo,
        hash_bytes(content),
        path,
        digest_before,
        digest(after),
        splice.pack(way_back),
    )
