"""Content hashes: they identify a photo that was moved, renamed or copied."""

from __future__ import annotations

import hashlib
from pathlib import Path


def new_hash() -> hashlib.blake2b:
    """An empty BLAKE2b-160 hash, the kind that the index stores."""
    return hashlib.blake2b(digest_size=20)


def hash_file(path: Path) -> bytes:
    """The content hash of a file, as in `DecodedPhoto.content_hash`.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, new_hash).digest()


def hash_bytes(data: bytes) -> bytes:
    """The content hash of a file whose bytes are in memory."""
    content_hash = new_hash()
    content_hash.update(data)
    return content_hash.digest()
