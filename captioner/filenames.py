"""File names as text: most are UTF-8, and those that are not must not be lost."""

from __future__ import annotations

import base64
import os
import re
import unicodedata

_VERSION = re.compile(r"(.+)_\d\d+(\.[^.]+)", re.DOTALL)


def spelled(path: str | bytes) -> tuple[str, str | None]:
    r"""A path as valid Unicode and, where that is not exact, its bytes in base64.

    Bytes that are not UTF-8 are spelled out: "caf\xe9.jpg".
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


def folded(name: str) -> str:
    """A name as a file system that ignores case and composition compares it."""
    return unicodedata.normalize("NFC", name).casefold()


def of_version(name: str) -> str | None:
    """The photo of which a name is that of a further version: darktable's `a_01.jpg` of `a.jpg`."""
    version = _VERSION.fullmatch(name)
    return version[1] + version[2] if version else None
