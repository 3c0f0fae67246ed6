"""Regular files: opened without waiting, and read up to a limit.

What bears the name of a photo or a sidecar may be a named pipe, a socket or a device. To read from
one could take for ever, and to open some devices sets them going.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from captioner.system.paths import verbatim

NEITHER = "it is neither a file nor a folder."

# A pipe is opened without waiting for its other end; a terminal does not become ours.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """The name is that of a folder, a named pipe, a socket or a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, NEITHER.rstrip("."))


class TooLargeError(ValueError):
    """A file is larger than the limit it is read to."""


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, unless it is a pipe, a socket or a device.

    Between a look at the folder and now it may have become one.

    Raises
    ------
    OSError, ValueError
        Where it cannot be opened; `NotRegularError` where it is no regular file.
    """
    path = verbatim(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotRegularError
    number = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise NotRegularError
        return open(number, "rb")  # noqa: PTH123
    except BaseException:
        os.close(number)
        raise


def read(path: Path, most: int) -> bytes:
    """All that a regular file holds.

    Raises
    ------
    OSError
        As `open_regular`.
    TooLargeError
        Where it holds more than `most` bytes, which are then not read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise TooLargeError
        return file.read()
