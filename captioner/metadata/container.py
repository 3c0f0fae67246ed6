"""Interface of the modules for one container format each: JPEG, PNG, WebP, TIFF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from captioner.formats.chunks import Chunk
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.splice import Splice


@dataclass(frozen=True, slots=True)
class Edits:
    """The changes to the metadata blocks of one file."""

    xmp: tuple[Splice, ...]
    """Splices of the packet; of empty bytes if there is none."""
    description: str | None = None
    """The new value of EXIF's ImageDescription; None leaves it unchanged."""
    photoshop: bytes | None = None
    """The new image resources; None leaves them unchanged."""


def single_xmp_chunk(chunks: list[Chunk]) -> Chunk | None:
    """The only chunk that holds XMP, if there is one.

    Raises
    ------
    RefusedError
        If there are several.
    """
    if len(chunks) > 1:
        raise RefusedError(RefusalReason.SEVERAL_XMP)
    return chunks[0] if chunks else None


class Container(Protocol):
    """A parsed file. Creating one raises `RefusedError` if the file is invalid."""

    @property
    def data(self) -> bytes:
        """The whole file."""
        ...

    @property
    def xmp(self) -> bytes | None:
        """The XMP packet."""
        ...

    @property
    def exif(self) -> bytes | None:
        """The EXIF block, starting with its TIFF header."""
        ...

    @property
    def photoshop(self) -> bytes | None:
        """Photoshop's image resources."""
        ...

    def splices(self, edits: Edits) -> list[Splice]:
        """The splices of the file that make the changes."""
        ...

    def preserves(self, before: Container) -> bool:
        """Whether everything in `before` is still there, except the blocks of `Edits`."""
        ...
