"""What a file is by its content: moved, renamed or copied, it stays the same."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(path: Path) -> bytes:
    """BLAKE2b-160 of a whole file, as in `Pixels.content_hash`.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).digest()
