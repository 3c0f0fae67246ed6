"""Reading photos and sidecars as bytes, with errors as refusals."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from captioner import regular_files
from captioner.metadata import sidecar
from captioner.metadata.errors import RefusalReason, RefusedError
from captioner.metadata.fields import FileMetadata
from captioner.metadata.packet import read_packet_tolerantly


def read(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises
    ------
    RefusedError
        If it cannot be read, or is larger than `max_bytes`.
    """
    try:
        return regular_files.read(path, max_bytes)
    except regular_files.NotRegularError as error:
        raise RefusedError(RefusalReason.NOT_REGULAR) from error
    except regular_files.TooLargeError as error:
        raise RefusedError(RefusalReason.TOO_LARGE) from error
    except OSError as error:
        raise system_error(error) from error


def read_written_sidecar(path: Path) -> bytes | None:
    """The content of a sidecar that captioner may have written; None if it cannot be one."""
    try:
        return regular_files.read(path, sidecar.MAX_BYTES)
    except (regular_files.NotRegularError, regular_files.TooLargeError, FileNotFoundError):
        return None
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            return None
        raise


def read_other_sidecar(path: Path) -> FileMetadata:
    """The metadata of a sidecar that captioner never writes to.

    Raises
    ------
    RefusedError
        If it cannot be read.
    """
    try:
        return read_packet_tolerantly(read(path, sidecar.MAX_BYTES))
    except RefusedError as error:
        if error.reason is RefusalReason.TOO_LARGE:
            return FileMetadata(unreadable=(error,))
        if error.reason is RefusalReason.NOT_REGULAR or not os.path.lexists(path):
            return FileMetadata()
        raise unreadable_sidecar(path, error) from error


def unreadable_sidecar(path: Path, error: RefusedError) -> RefusedError:
    """Why a photo is not written that has a sidecar which cannot be read."""
    is_dangling = os.path.lexists(path) and not os.path.exists(path)  # noqa: PTH110
    why = "a link whose target is missing" if is_dangling else error.detail
    return RefusedError(RefusalReason.SIDECAR, f"{path.name}: {why}")


def system_error(error: OSError) -> RefusedError:
    """An error of the system as a refusal."""
    return RefusedError(RefusalReason.SYSTEM, error.strerror or str(error))
