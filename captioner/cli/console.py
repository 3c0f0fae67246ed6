"""What leaves a command: data on stdout, everything else on stderr.

Only where stdout is a terminal is it laid out for the eye, and only then is Rich imported.

Names and texts come from files, and may hold anything. Control characters in them are spelled out
(`\\x1b`) in all lines and messages, so that they neither steer a terminal nor break columns. Names
of any bytes pass through pipes; JSON holds all text exactly, by its own escapes, with the bytes
of a name that is not UTF-8 beside it; `-0` and `--print-path` give the exact bytes of a path.
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

NOTHING = "(not recognised)"
"""In place of a sentence and of keywords, where the model trusts neither."""

# What would move the cursor, turn the reading direction or is no text at all.
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[{_CONTROL}\ud800-\udfff]")
_UNSAFE_IN_PIPES = re.compile(f"[{_CONTROL}]")

_PATHS = frozenset("path file folder unread database example data cache copies".split())
"""Names in JSON whose values are paths, or lists of paths."""

_quiet = False
_log: TextIO | None = None


def prepare() -> None:
    """Get ready for a command: nothing quiet, no log, and streams that take any text."""
    configure()
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


def configure(*, quiet: bool = False, log_file: Path | None = None) -> None:
    """Choose what a person is told, until the next command.

    Parameters
    ----------
    quiet
        Nothing but warnings and errors.
    log_file
        Told all of it, too, quiet or not: a line each, with the time, after what it holds already.

    Raises
    ------
    UsageError
        Where the log file cannot be written.
    """
    global _quiet, _log  # noqa: PLW0603 (as sys.stderr, which they accompany)
    if _log:
        _log.close()
    _quiet, _log = quiet, None
    if log_file:
        try:
            # A line at a time, so that it can be followed; names that are no text are spelled out.
            _log = open(log_file, "a", 1, "utf-8", "backslashreplace", opener=_open_at_once)  # noqa: SIM115
        except OSError as error:
            unread = error.errno == errno.ENXIO
            reason = "no program reads from this pipe" if unread else error.strerror
            raise UsageError(
                f"the log file {shown(str(log_file))} cannot be written: {reason}.",
                "Name another with --log-file.",
            ) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; a named pipe without waiting for a program that reads from it."""
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(number, True)
    return number


def is_quiet() -> bool:
    """Whether nothing but warnings and errors is wanted."""
    return _quiet


def line(*fields: str) -> None:
    """Write one line of data, its fields separated by tabs, at once."""
    unsafe = _UNSAFE if for_the_eye() else _UNSAFE_IN_PIPES
    print(*(_spell_out(unsafe, field) for field in fields), sep="\t", flush=True)


def json_line(record: Mapping[str, object]) -> None:
    """Write one object on one line; in ASCII where stdout is in an encoding that lacks a letter."""
    text = json_text(record)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text))
    print(text, flush=True)


def json_text(record: Mapping[str, object]) -> str:
    """One object as JSON without control characters, which are escaped, and in valid Unicode.

    Where a path is not UTF-8, it is spelled with escapes, and `path_bytes` beside it has its bytes
    in base64; for a list of paths, `copies_bytes` is a list, with null where a path is exact.
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
    """The bytes of a path, or of each in a list, in base64; None where all are spelled exactly."""
    if isinstance(paths, str):
        return spelled(paths)[1]
    if isinstance(paths, list | tuple) and all(isinstance(path, str) for path in paths):
        exact = [spelled(path)[1] for path in paths]
        return exact if any(exact) else None
    return None


def for_the_eye() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def block(path: str | None, sentences: list[str], *, score: str = "", aside: str = "") -> None:
    """Lay out one photo for the eye: its path, a link to it; under it what there is to say.

    Parameters
    ----------
    path
        As it is to be shown; relative ones are taken from the current folder. None leaves it out.
    sentences
        A line each.
    score, aside
        Dimmed, before the path and below the sentences; empty for none.
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
    for sentence in sentences:
        terminal.print(Padding(shown(sentence), (0, 0, 0, indent)))
    if aside:
        terminal.print(Padding(Text(shown(aside), "dim"), (0, 0, 0, indent)))


def page(parts: Iterable[RenderableType]) -> None:
    """Lay out a page that reads well in a terminal of any width and, uncut, in a pipe."""
    from rich.console import Console

    terminal = Console(highlight=False, markup=False, emoji=False)
    if not for_the_eye():
        terminal.width = 10_000
    with terminal.capture() as drawn:
        for part in parts:
            terminal.print(part)
    for text in drawn.get().split("\n")[:-1]:  # with escapes of Rich's own
        print(text.rstrip(), flush=True)


def note(text: str) -> None:
    """Tell the person something that is not data."""
    if not _quiet:
        _say(text)
    _record("info", text)


def warning(text: str) -> None:
    """Tell the person what went wrong while the command goes on."""
    _say(f"captioner: {text}")
    _record("warning", text)


def error(reason: str, remedy: str = "") -> None:
    """Say why the command ends here, and what to do about it."""
    _say(f"captioner: {reason}")
    if remedy:
        _say(remedy)
    _record("error", f"{reason} {remedy}".strip())


def cannot_read(path: str, reason: str) -> None:
    """Name a photo that failed and say why."""
    warning(f"cannot read {shown(path)}: {reason}")


def _say(text: str) -> None:
    streams.to_stderr(f"{shown(text)}\n")


def _record(level: str, text: str) -> None:
    global _log  # noqa: PLW0603
    if not _log:
        return
    from datetime import datetime

    now = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        print(now, level, shown(text), file=_log)
    except OSError as error:  # A full disk: what is being done is worth more than its log.
        _log = None
        _say(f"captioner: the log file cannot be written any more: {error.strerror}.")


def shown(path: str) -> str:
    """Make a path or a text safe to look at: what is no visible text is spelled out."""
    return _spell_out(_UNSAFE, path)


def shown_lines(text: str) -> str:
    """Make a text safe to look at that may have several lines."""
    return "\n".join(map(shown, text.splitlines()))


def _spell_out(unsafe: re.Pattern[str], text: str) -> str:
    return unsafe.sub(lambda found: _spelled_out(found.group()), text)


def _spelled_out(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no text, as os.fsdecode carries it.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def counted(number: int, noun: str = "photo") -> str:
    """Write a number with its noun: "1 photo", "1,204 photos"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def spell_bytes(number: float) -> str:
    """Write a size for a person: "512 bytes", "3.4 MB"."""
    if number < 1000:
        return f"{number:,.0f} bytes"
    units = iter(("kB", "MB", "GB", "TB"))
    while number >= 1000:
        number, unit = number / 1000, next(units)
    return f"{number:,.{1 if number < 100 else 0}f} {unit}"
