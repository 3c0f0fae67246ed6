"""Output of a command: data on stdout, everything else on stderr.

Output is formatted only when stdout is a terminal, and only then is Rich imported.

Names and texts come from files and may hold anything. Lines and messages escape control characters
(`\\x1b`), so that these neither control the terminal nor break columns. File names of any bytes
pass through pipes. JSON holds all text exactly, with its own escapes, and adds the bytes of a name
that is not UTF-8; `-0` and `--print-path` print the exact bytes of a path.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from captioner.cli import streams
from captioner.errors import CaptionerWarning, UsageError
from captioner.filenames import spelled

if TYPE_CHECKING:
    from rich.console import RenderableType

NOT_RECOGNISED = "(not recognised)"
"""Printed for a photo with neither a caption nor keywords of sufficient confidence."""

# Characters that move the cursor or change the text direction, and lone surrogates.
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[{_CONTROL}\ud800-\udfff]")
_UNSAFE_IN_PIPES = re.compile(f"[{_CONTROL}]")

_PATHS = frozenset("path file folder unread database example data cache copies".split())
"""JSON keys whose values are paths or lists of paths."""

_quiet = False
_log: TextIO | None = None


def prepare() -> None:
    """Reset for a new command: not quiet, no log file, streams that accept any text."""
    configure_output()
    streams.prepare()
    warnings.simplefilter("default", CaptionerWarning)
    warnings.showwarning = _show_warning


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, CaptionerWarning):
        warning(str(message))
    else:
        _others_warning(message, category, filename, lineno, file, line)


_others_warning = warnings.showwarning


def configure_output(*, quiet: bool = False, log_file: Path | None = None) -> None:
    """Set the verbosity and the log file, until the next command.

    Parameters
    ----------
    quiet
        Print only warnings and errors.
    log_file
        Append all messages to this file, one per line with the time, even if `quiet`.

    Raises
    ------
    UsageError
        If the log file cannot be written.
    """
    global _quiet, _log  # noqa: PLW0603 (global like sys.stderr)
    if _log:
        _log.close()
    _quiet, _log = quiet, None
    if log_file:
        try:
            # Line-buffered, for `tail -f`; names that are not valid text are escaped.
            _log = open(log_file, "a", 1, "utf-8", "backslashreplace", opener=_open_at_once)  # noqa: SIM115
        except OSError as error:
            unread = error.errno == errno.ENXIO
            reason = "no program is reading from this pipe" if unread else error.strerror
            raise UsageError(
                f"the log file {shown(str(log_file))} cannot be written: {reason}.",
                "Use another file for --log-file.",
            ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, without blocking on a named pipe that nobody reads."""
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(number, True)
    return number


def is_quiet() -> bool:
    """Whether only warnings and errors are printed."""
    return _quiet


def line(*fields: str) -> None:
    """Print one line of data, its fields separated by tabs, and flush."""
    unsafe = _UNSAFE if stdout_is_terminal() else _UNSAFE_IN_PIPES
    print(*(_escape(unsafe, field) for field in fields), sep="\t", flush=True)


def json_line(record: Mapping[str, object]) -> None:
    """Print one object on one line; in ASCII if stdout's encoding lacks one of its characters."""
    text = json_text(record)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text))
    print(text, flush=True)


def json_text(record: Mapping[str, object]) -> str:
    """One object as JSON in valid Unicode, with control characters escaped.

    A path that is not UTF-8 is escaped, and `path_bytes` has its exact bytes in base64. For a list
    of paths, `copies_bytes` is a list, with null for each path that is valid UTF-8.
    """
    text = json.dumps(_in_unicode(record), ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _in_unicode(value: object) -> object:
    if isinstance(value, str):
        return spelled(value)[0]
    if isinstance(value, Mapping):
        made: dict[str, object] = {}
        for name, inner in value.items():
            key = spelled(str(name))[0]
            made[key] = _in_unicode(inner)
            if name in _PATHS and (exact := _exact(inner)):
                made[f"{key}_bytes"] = exact
        return made
    if isinstance(value, list | tuple):
        return [_in_unicode(inner) for inner in value]
    return value


def _exact(paths: object) -> str | list[str | None] | None:
    """The bytes of a path, or of each in a list, in base64; None if all are valid UTF-8."""
    if isinstance(paths, str):
        return spelled(paths)[1]
    if isinstance(paths, list | tuple) and all(isinstance(path, str) for path in paths):
        exact = [spelled(path)[1] for path in paths]
        return exact if any(exact) else None
    return None


def stdout_is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def block(path: str | None, captions: list[str], *, score: str = "", footer: str = "") -> None:
    """Print one photo to the terminal: its path as a link, and its captions below.

    Parameters
    ----------
    path
        As displayed, relative to the current folder; None to omit it.
    captions
        One per line.
    score, footer
        Printed dimmed before the path, or below the captions; empty for none.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.style import Style
    from rich.text import Text

    terminal = Console(highlight=False, markup=False, emoji=False)
    indent = 0
    if path is not None:
        indent = 2
        name = Text(shown(path), Style(bold=True, link=Path(path).absolute().as_uri()))
        if score:
            name = Text.assemble((score, "dim"), "  ", name)
            indent += len(score)
        # Soft: the terminal wraps a long path itself, and it can be copied in one piece.
        terminal.print(name, soft_wrap=True)
    for caption in captions:
        terminal.print(Padding(shown(caption), (0, 0, 0, indent)))
    if footer:
        terminal.print(Padding(Text(shown(footer), "dim"), (0, 0, 0, indent)))


def page(parts: Iterable[RenderableType]) -> None:
    """Print Rich renderables: fitted to the terminal, or uncut into a pipe."""
    from rich.console import Console

    terminal = Console(highlight=False, markup=False, emoji=False)
    if not stdout_is_terminal():
        terminal.width = 10_000
    with terminal.capture() as drawn:
        for part in parts:
            terminal.print(part)
    for text in drawn.get().split("\n")[:-1]:  # with escapes of Rich's own
        print(text.rstrip(), flush=True)


def note(text: str) -> None:
    """Print a note to stderr, unless quiet."""
    if not _quiet:
        _print_message(text)
    _record("info", text)


def status(text: str) -> None:
    """Show on stderr what the command is doing, if that is a terminal, until the next message.

    `streams.clear_status` removes it before output to stdout.
    """
    if not _quiet and stderr_is_live():
        streams.show_status(text)


def stderr_is_live() -> bool:
    """Whether stderr is a terminal on which a line can be replaced."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def warning(text: str) -> None:
    """Print a warning to stderr; the command continues."""
    _print_message(f"captioner: {text}")
    _record("warning", text)


def error(reason: str, remedy: str = "") -> None:
    """Print why the command failed, and what to do about it, to stderr."""
    _print_message(f"captioner: {reason}")
    if remedy:
        _print_message(remedy)
    _record("error", f"{reason} {remedy}".strip())


def cannot_read(path: str, reason: str) -> None:
    """Warn that a photo failed, with the reason."""
    warning(f"cannot read {shown(path)}: {reason}")


def _print_message(text: str) -> None:
    streams.to_stderr(f"{shown(text)}\n")


def _record(level: str, text: str) -> None:
    global _log  # noqa: PLW0603
    if not _log:
        return
    from datetime import datetime

    now = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        print(now, level, shown(text), file=_log)
    except OSError as error:  # A full disk: the work goes on without a log.
        _log = None
        _print_message(f"captioner: the log file can no longer be written: {error.strerror}.")


def shown(path: str) -> str:
    """Escape control characters in a path or a text, to print it safely on one line."""
    return _escape(_UNSAFE, path)


def shown_lines(text: str) -> str:
    """Escape control characters in a text, except line breaks."""
    return "\n".join(map(shown, text.splitlines()))


def _escape(unsafe: re.Pattern[str], text: str) -> str:
    return unsafe.sub(lambda found: _escaped(found.group()), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not text, as os.fsdecode returns it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def counted(number: int, noun: str = "photo") -> str:
    """Format a number with its noun: "1 photo", "1,204 photos"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def spell_bytes(number: float) -> str:
    """Format a size: "512 bytes", "3.4 MB"."""
    if number < 1000:
        return f"{number:,.0f} bytes"
    units = iter(("kB", "MB", "GB", "TB"))
    while number >= 1000:
        number, unit = number / 1000, next(units)
    return f"{number:,.{1 if number < 100 else 0}f} {unit}"
