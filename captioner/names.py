"""File names as text: most are UTF-8, and those that are not must not be lost."""

from __future__ import annotations

import base64
import os


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
