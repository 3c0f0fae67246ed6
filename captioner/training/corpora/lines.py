"""Text files with one caption a line, as Flickr8k and Flickr30k have them, and their quirks."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from captioner.errors import CaptionerError

_TOKEN = re.compile(r"(?P<name>.+)#\d+\t(?P<caption>.*)")
_QUOTED_NAME = re.compile(r'"(?P<name>(?:[^"]|"")*)",(?P<caption>.*)')


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises
    ------
    CaptionerError
        If it is not UTF-8: which line is not.
    OSError
        If it cannot be read.
    """
    data = file.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CaptionerError(
            f"{file}, line {line}, is not UTF-8: {error.reason}.", "Save it as UTF-8."
        ) from error


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file that are not blank, stripped, with their numbers from 1.

    Raises
    ------
    CaptionerError
        If it is not UTF-8.
    """
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if line := line.strip():
            yield number, line


def read_lines(file: Path) -> Iterator[str]:
    """Lines of a UTF-8 file that are not blank, stripped."""
    return (line for _, line in numbered_lines(file))


def token_line(line: str) -> tuple[str, str] | None:
    """Photo name and caption of a line `photo.jpg#0<tab>caption`; None for other lines."""
    match = _TOKEN.fullmatch(line)
    return (match["name"].strip(), match["caption"].strip()) if match else None


def csv_line(line: str) -> tuple[str, str]:
    """Photo name and caption of a line `photo.jpg,caption`.

    Not `csv.reader` over the file: some copies have unquoted captions with an unpaired quote, and
    the reader would swallow every line up to the next quote.
    """
    quoted = _QUOTED_NAME.fullmatch(line)
    if quoted:
        name, caption = quoted["name"].replace('""', '"'), quoted["caption"]
    else:
        name, _, caption = line.partition(",")
    caption = caption.strip()
    if caption.startswith('"'):
        fields = next(csv.reader([caption], strict=False))
        # One properly quoted field, or words that merely begin with a quotation.
        if len(fields) == 1 and caption == '"' + fields[0].replace('"', '""') + '"':
            caption = fields[0]
    return name.strip(), caption.strip()
