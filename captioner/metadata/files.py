"""Photos and sidecars as bytes, and in which words it is said that they cannot be read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from captioner import regular_files
from captioner.metadata import provenance, sidecar
from captioner.metadata.provenance import Content
from captioner.metadata.refusal import Reason, Refused


def read(path: Path, most: int) -> bytes:
    """All that a regular file holds.

    Raises
    ------
    Refused
        Where it cannot be read, or holds more than `most` bytes.
    """
    try:
        return regular_files.read(path, most)
    except regular_files.NotRegularError as error:
        raise Refused(Reason.NOT_REGULAR) from error
    except regular_files.TooLargeError as error:
        raise Refused(Reason.TOO_LARGE) from error
    except OSError as error:
        raise system(error) from error


def written_sidecar(path: Path) -> bytes | None:
    """What a sidecar holds that captioner may have written; None where it cannot be one."""
    try:
        return regular_files.read(path, sidecar.LARGEST)
    except (regular_files.NotRegularError, regular_files.TooLargeError, FileNotFoundError):
        return None
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            return None
        raise


def other(path: Path) -> Content:
    """What a sidecar says that captioner never writes to.

    Raises
    ------
    Refused
        Where it cannot be read.
    """
    try:
        return provenance.read_tolerantly(read(path, sidecar.LARGEST))
    except Refused as error:
        if error.reason is Reason.TOO_LARGE:
            return Content(unread=(error,))
        if error.reason is Reason.NOT_REGULAR or not os.path.lexists(path):
            return Content()
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Refused) -> Refused:
    """Why a photo is left as it is that has a sidecar which cannot be read."""
    is_dangling = os.path.lexists(path) and not os.path.exists(path)  # noqa: PTH110
    why = "a link whose target is missing" if is_dangling else error.detail
    return Refused(Reason.SIDECAR, f"{path.name}: {why}")


def system(error: OSError) -> Refused:
    """What the system says as a refusal."""
    return Refused(Reason.SYSTEM, error.strerror or str(error))
