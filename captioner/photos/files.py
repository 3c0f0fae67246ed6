"""Opening what may be anything: only regular files, without waiting, and errors in plain words."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

NEITHER = "it is neither a file nor a folder."

# A pipe is opened without waiting for its other end; a terminal does not become ours.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, unless it is a pipe, a socket or a device.

    Between the walk and now it may have become one, and to read from it could take for ever.

    Raises
    ------
    OSError, ValueError
        For `explain`.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # to open some devices is to set them going
        raise OSError(errno.EINVAL, NEITHER.rstrip("."))
    number = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, NEITHER.rstrip("."))
        return open(number, "rb")  # noqa: PTH123
    except BaseException:
        os.close(number)
        raise


def explain_link(path: Path) -> str | None:
    """Say where a symbolic link leads to nothing; None if it is no link, or leads somewhere."""
    try:
        target = os.readlink(path)  # noqa: PTH115 (as it was written)
    except (OSError, ValueError):
        return None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"it is a link to {target}, which does not exist."
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"it is a link to {target}, which leads back to the link itself."
    return None


def explain(error: OSError | ValueError) -> str:
    """Say in plain words why a path cannot be looked at; completes "cannot read PATH: …"."""
    match error:
        case FileNotFoundError():
            return "there is no such file or folder."
        case PermissionError():
            return "you have no permission to read it."
        case OSError(strerror=str() as words):
            return f"{words[:1].lower()}{words[1:]}."
        case _:  # a zero byte in a path, from a list of paths that is none
            return f"{error}."
