"""Opening what may be anything: only regular files, without waiting, and errors in plain words."""

from __future__ import annotations

import errno
from pathlib import Path

from captioner.regular_files import NEITHER, open_regular

__all__ = ["NEITHER", "explain", "explain_link", "open_regular"]


def explain_link(path: Path) -> str | None:
    """Say where a symbolic link leads to nothing; None if it is no link, or leads somewhere."""
    try:
        target = path.readlink()
    except (OSError, ValueError):
        return None
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"it is a link to {target}, which does not exist."
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"it is a link to {target}, which leads back to the link itself."
    return None


def explain(error: OSError | ValueError) -> str:
    """Say in plain words why a path cannot be looked at; completes "cannot read PATH: …"."""
    match error:
        case FileNotFoundError():
            return "there is no such file or folder."
        case PermissionError():
            return "you have no permission to read it."
        case OSError(strerror=str() as words):
            return f"{words[:1].lower()}{words[1:]}."
        case _:  # a zero byte in a path, from a list of paths that is none
            return f"{error}."
