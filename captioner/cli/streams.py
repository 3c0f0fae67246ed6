"""Standard input, output and error: closed, broken, or in an encoding without all characters."""

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

_SPELLED = "captioner.spelled"
"""Name of the error handler of stdout."""


_NARROWEST = {"COLUMNS": 20, "LINES": 2}
"""Sizes of a terminal below which nothing could be read in it."""


def prepare() -> None:
    """Open what the process was started without, and let any text through stdout."""
    for name, least in _NARROWEST.items():
        size = os.environ.get(name, "")
        # Rich prints nothing at all where COLUMNS is 0. Without it, it asks the terminal.
        if size and not (size.isdecimal() and int(size) >= least):
            del os.environ[name]
    # A file opened later must not get the number of a closed stream: whatever a C library prints
    # would end up in it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    codecs.register_error(_SPELLED, _spell)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_SPELLED)


def _spell(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what an encoding lacks: bytes of file names as they are, all else with a backslash."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    spelled = b"".join(
        # A byte that is not text, as os.fsdecode returns it.
        bytes([ord(character) - 0xDC00])
        if "\udc80" <= character <= "\udcff"
        else character.encode("ascii", "backslashreplace")
        for character in error.object[error.start : error.end]
    )
    return spelled, error.end


def stdin() -> BufferedReader:
    """Standard input as bytes.

    Raises
    ------
    UsageError
        If it is closed.
    """
    # None if the process was started without; typeshed knows nothing of it.
    stream = cast(TextIO | None, sys.stdin)
    if stream is None or stream.closed:
        raise UsageError("standard input is closed.", "Pipe something in, or leave out the -.")
    return cast(BufferedReader, stream.buffer)


def stdin_text() -> str:
    """All of standard input as text: UTF-8, or UTF-16 with its mark, or as the system has it.

    Raises
    ------
    UsageError
        If it is closed, cannot be read, or is not text.
    """
    try:
        content = stdin().read()
    except OSError as error:
        raise unreadable(error) from error
    # PowerShell pipes UTF-16 with a mark.
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encodings = ["utf-16"] if utf16 else ["utf-8-sig", sys.stdin.encoding or "utf-8"]
    for encoding in encodings:
        with suppress(UnicodeDecodeError, LookupError):
            return content.decode(encoding)
    raise UsageError("standard input is not text in UTF-8.", "Convert it to UTF-8 first.")


def unreadable(error: OSError) -> UsageError:
    """The error for standard input that cannot be read, a folder for instance."""
    return UsageError(
        f"standard input cannot be read: {error.strerror or error}.", "Pipe something else in."
    )


def stdin_is_terminal() -> bool:
    """Whether a person can be asked."""
    stream = cast(TextIO | None, sys.stdin)
    return stream is not None and not stream.closed and stream.isatty()


def to_stderr(text: str) -> None:
    """Write to stderr at once. If nobody reads it any more, the command goes on without."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # a closed pipe, a terminal that is gone, a full disk
        with suppress(OSError, ValueError):
            abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Send the rest of a stream nowhere, so that the interpreter's last flush cannot fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
