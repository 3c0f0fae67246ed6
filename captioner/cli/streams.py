"""Standard streams: closed ones, broken pipes, and encodings that lack characters."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import TextIO, cast

from captioner.errors import UsageError

_ESCAPE_HANDLER = "captioner.escape"
"""Name of the error handler of stdout."""

_MIN_TERMINAL_SIZE = {"COLUMNS": 20, "LINES": 2}
"""Sizes below which COLUMNS and LINES are ignored."""

_status = ""
"""The status line that is on the terminal now."""


def prepare() -> None:
    """Replace closed streams, and let stdout accept any text."""
    for name, minimum in _MIN_TERMINAL_SIZE.items():
        size = os.environ.get(name, "")
        # Rich prints nothing if COLUMNS is 0; without the variable it asks the terminal.
        if size and not (size.isdecimal() and int(size) >= minimum):
            del os.environ[name]
    # A file opened later must not get the file descriptor of a closed stream: C libraries would
    # print into it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    codecs.register_error(_ESCAPE_HANDLER, _escape)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_ESCAPE_HANDLER)


def _escape(error: UnicodeError) -> tuple[bytes, int]:
    """Error handler: writes undecodable bytes of file names unchanged, escapes all else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    escaped = b"".join(
        # A byte that is not text, as os.fsdecode returns it.
        bytes([ord(character) - 0xDC00])
        if "\udc80" <= character <= "\udcff"
        else character.encode("ascii", "backslashreplace")
        for character in error.object[error.start : error.end]
    )
    return escaped, error.end


def stdin() -> BufferedReader:
    """Standard input as bytes.

    Raises
    ------
    UsageError
        If it is closed.
    """
    # None if the process was started without one, which typeshed does not know.
    stream = cast(TextIO | None, sys.stdin)
    if stream is None or stream.closed:
        raise UsageError("standard input is closed.", "Pipe something in, or leave out the -.")
    return cast(BufferedReader, stream.buffer)


def stdin_text() -> str:
    """All of standard input as text: UTF-8, UTF-16 with a BOM, or the system's encoding.

    Raises
    ------
    UsageError
        If it is closed, cannot be read, or is not text.
    """
    try:
        content = stdin().read()
    except OSError as error:
        raise unreadable_error(error) from error
    # PowerShell pipes UTF-16 with a BOM.
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encodings = ["utf-16"] if utf16 else ["utf-8-sig", sys.stdin.encoding or "utf-8"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError, LookupError):
            return content.decode(encoding)
    raise UsageError("standard input is not UTF-8 text.", "Convert it to UTF-8 first.")


def unreadable_error(error: OSError) -> UsageError:
    """The error for standard input that cannot be read, such as a folder."""
    return UsageError(
        f"standard input cannot be read: {error.strerror or error}.", "Pipe something else in."
    )


def stdin_is_terminal() -> bool:
    """Whether stdin is a terminal, so that the user can be asked."""
    stream = cast(TextIO | None, sys.stdin)
    return stream is not None and not stream.closed and stream.isatty()


def to_stderr(text: str) -> None:
    """Write to stderr and flush. If it is closed or broken, the command continues without.

    A status line is removed first.
    """
    clear_status()
    _put(text)


def show_status(text: str) -> None:
    """Show one short line on stderr, a terminal, until something else is written there.

    The cursor stays at its start, so that a signal handler's message replaces it.
    """
    global _status  # noqa: PLW0603 (global like stderr)
    clear_status()
    _status = text
    _put(f"{text}\r")


def clear_status() -> None:
    """Remove the status line, if there is one."""
    global _status  # noqa: PLW0603 (global like stderr)
    if _status:
        _put(" " * len(_status) + "\r")  # blanks, since not every console knows escape sequences
    _status = ""


def _put(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # a closed pipe, a terminal that is gone, a full disk
        with suppress(OSError, ValueError):
            abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Redirect a broken stream to the null device, so that the flush at exit cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
