"""Reading regular files only, without blocking, up to a size limit.

A name that looks like a photo or a sidecar may belong to a named pipe, a socket or a device.
Reading from one might never return, and opening some devices has side effects.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from captioner.system.paths import verbatim

NEITHER = "it is neither a file nor a folder."
"""Completes "cannot read PATH: …" for pipes, sockets and devices."""

# O_NONBLOCK: do not wait for a pipe's other end; O_NOCTTY: do not adopt a terminal.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """The path is that of a folder, a named pipe, a socket or a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, NEITHER.rstrip("."))


class TooLargeError(ValueError):
    """A file exceeds the size limit given to `read`."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    The type is checked here although the walk has checked it: it may have changed since.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened; `NotRegularError` if it is not a regular file.
    """
    path = verbatim(path)
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotRegularError
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError
        return open(descriptor, "rb")  # noqa: PTH123
    except BaseException:
        os.close(descriptor)
        raise


def read(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises
    ------
    OSError
        As `open_regular`.
    TooLargeError
        If it holds more than `max_bytes`; nothing is read then.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise TooLargeError
        return file.read()
