"""The files that a caption may be written to: a photo and its main sidecar, with their metadata."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from captioner.metadata import embed, files, sidecar
from captioner.metadata.embed import PlannedWrite
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import CaptionData, FileMetadata
from captioner.metadata.packet import read_packet, read_packet_tolerantly
from captioner.metadata.reading import read_photo
from captioner.metadata.sidecar import Sidecars


@dataclass(frozen=True, slots=True)
class Target:
    """A file that may be written, and its metadata."""

    path: Path
    data: bytes | None
    """None if the file does not exist."""
    metadata: FileMetadata
    read: Callable[[bytes], FileMetadata]
    plan: Callable[[bytes | None, CaptionData, str | None], PlannedWrite]
    blocked: RefusedError | None = None
    """Why it cannot be written, whatever the caption."""


def photo_target(photo: Path, data: bytes) -> Target:
    """A photo and its metadata."""
    plan = partial(_plan_photo, suffix=photo.suffix)
    return Target(photo, data, read_photo(data), read_photo, plan)


def sidecar_target(sidecars: Sidecars) -> Target:
    """The sidecar that belongs to this photo only, and its metadata.

    Raises
    ------
    RefusedError
        If it exists and cannot be read: it may hold a human-authored caption.
    """
    path = sidecars.main
    data = blocked = None
    metadata = FileMetadata()
    if sidecars.name_too_long:
        blocked = RefusedError(RefusalReason.NAME_TOO_LONG)
    elif os.path.lexists(path):
        try:
            data = files.read(path, sidecar.MAX_BYTES)
            metadata = read_packet_tolerantly(data)
        except RefusedError as error:
            if error.reason is RefusalReason.TOO_LARGE:
                metadata = FileMetadata(unreadable=(error,))
            elif error.reason is RefusalReason.NOT_REGULAR:
                detail = f"{path.name} is not a regular file"
                blocked = RefusedError(RefusalReason.SIDECAR, detail)
            else:
                raise files.unreadable_sidecar(path, error) from error
    return Target(path, data, metadata, read_packet, _plan_sidecar, blocked)


def _plan_photo(
    data: bytes | None, caption: CaptionData, append_to: str | None, *, suffix: str
) -> PlannedWrite:
    return embed.plan_write(data or b"", caption, append_to=append_to, suffix=suffix)


def _plan_sidecar(
    packet: bytes | None, caption: CaptionData, append_to: str | None
) -> PlannedWrite:
    return PlannedWrite(sidecar.plan_write(packet, caption, append_to=append_to))
