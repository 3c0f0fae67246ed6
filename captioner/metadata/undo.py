"""Records of writes, from which a file is restored byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from captioner.hashing import hash_bytes
from captioner.metadata import splice
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.replace import sha256
from captioner.metadata.splice import Splice
from captioner.types import FileWrite


class Records(Protocol):
    """Storage of records: the index; in tests, a list."""

    def find(self, path: Path, sha256_after: bytes) -> FileWrite | None:
        """The record of a write that led to this content, preferably of the file at this path.

        One of another path is as good: the file was moved, or is a copy.
        """
        ...

    def add(self, write: FileWrite) -> None:
        """Store a record, durably by the time that this returns; earlier ones stay."""
        ...

    def delete(self, path: Path, except_after: bytes | None = None) -> None:
        """Delete the records of a file, except the one that led to the content `except_after`."""
        ...


def undo_write(write: FileWrite, data: bytes) -> bytes:
    """The content before a write, from the content after it.

    Raises
    ------
    RefusedError
        If `data` is not the content after the write, or the undo patch does not lead back to the
        content before it.
    """
    if sha256(data) != write.sha256_after:
        raise RefusedError(RefusalReason.EDITED)
    before = splice.apply(data, splice.unpack(write.undo_patch))
    if sha256(before) != write.sha256_before:
        raise RefusedError(RefusalReason.UNVERIFIED)
    return before


def make_record(
    photo: Path,
    photo_data: bytes,
    path: Path,
    sha256_before: bytes | None,
    after: bytes,
    undo_splices: list[Splice],
) -> FileWrite:
    """The record of a write to a photo or its sidecar.

    Parameters
    ----------
    photo_data
        The content of the photo after the write.
    path
        The file that is written, the photo or its sidecar.
    after
        The content of that file after the write.
    """
    return FileWrite(
        photo,
        hash_bytes(photo_data),
        path,
        sha256_before,
        sha256(after),
        splice.pack(undo_splices),
    )
