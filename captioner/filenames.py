"""File names as text: names that are not valid UTF-8 without loss, and names compared loosely."""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_VERSION = re.compile(r"(.+)_\d\d+(\.[^.]+)", re.DOTALL)


def spelled(path: str | bytes) -> tuple[str, str | None]:
    r"""A path as valid Unicode, and its bytes in base64 if the text does not determine them.

    Bytes that are not UTF-8 are written as escapes: "caf\xe9.jpg".
    """
    text = os.fsdecode(path) if isinstance(path, bytes) else path
    if text.isascii():
        return text, None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        exact = path if isinstance(path, bytes) else os.fsencode(path)
        return exact.decode("utf-8", "backslashreplace"), base64.b64encode(exact).decode()
    return text, None


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its own, after those of its parents where others end alike."""
    parts = [Path(os.path.abspath(folder)).parts for folder in folders]  # noqa: PTH100 (`.`, `..`)

    def name(own: tuple[str, ...]) -> str:
        for count in range(1, len(own)):
            if sum(other[-count:] == own[-count:] for other in parts) == 1:
                return os.path.join(*own[-count:])  # noqa: PTH118 (text)
        return os.path.join(*own)  # noqa: PTH118

    return [name(own) for own in parts]


def fold(name: str) -> str:
    """A name for comparison without regard to case and to Unicode's normal forms."""
    return unicodedata.normalize("NFC", name).casefold()


def base_of_version(name: str) -> str | None:
    """The photo of which a name is a further version: darktable's `a_01.jpg` of `a.jpg`."""
    version = _VERSION.fullmatch(name)
    return version[1] + version[2] if version else None
