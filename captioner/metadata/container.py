"""What a module for one container format offers, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from captioner.metadata.refusal import Reason, Refused
from captioner.metadata.splice import Splice


@dataclass(frozen=True, slots=True)
class Edits:
    """The changes to one file, each to the block it concerns."""

    xmp: tuple[Splice, ...]
    """Over the packet that is there; over nothing where there is none."""
    description: str | None = None
    """To put in the place of what EXIF's ImageDescription says; None leaves it."""
    photoshop: bytes | None = None
    """Image resources in the place of those that are there; None leaves them."""


class Chunk(NamedTuple):
    """One of the parts of a file that is made of named parts."""

    kind: bytes
    start: int
    """Of its head, in the file."""
    end: int
    data: bytes


def only_xmp(packets: list[Chunk]) -> Chunk | None:
    """The one chunk that holds XMP, if any.

    Raises
    ------
    Refused
        Where there are several.
    """
    if len(packets) > 1:
        raise Refused(Reason.SEVERAL_XMP)
    return packets[0] if packets else None


class Container(Protocol):
    """A file that was taken apart. Making one raises `Refused` where it does not add up."""

    @property
    def data(self) -> bytes:
        """All of the file."""
        ...

    @property
    def xmp(self) -> bytes | None:
        """The XMP packet."""
        ...

    @property
    def exif(self) -> bytes | None:
        """The EXIF block, from its TIFF header on."""
        ...

    @property
    def photoshop(self) -> bytes | None:
        """Photoshop's image resources."""
        ...

    def put(self, edits: Edits) -> list[Splice]:
        """The splices over the file that make the changes."""
        ...

    def carries(self, before: Container) -> bool:
        """Whether all that `before` held is still there, but for the blocks of `Edits`."""
        ...
