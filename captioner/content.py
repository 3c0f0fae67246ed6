"""What a file is by its content: moved, renamed or copied, it stays the same."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hasher() -> hashlib.blake2b:
    """BLAKE2b-160 in the making: what the index knows a photo again by, once it has it all."""
    return hashlib.blake2b(digest_size=20)


def fingerprint(path: Path) -> bytes:
    """The hash of a whole file, as in `DecodedPhoto.content_hash`.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, hasher).digest()


def content_hash(data: bytes) -> bytes:
    """The same of what was read already."""
    made = hasher()
    made.update(data)
    return made.digest()
