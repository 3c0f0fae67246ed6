"""Why a path cannot be read: explanations for the user, from operating system errors."""

from __future__ import annotations

import errno
from pathlib import Path


def explain_link(path: Path) -> str | None:
    """Explain a broken symbolic link; None if the path is no link, or its target exists."""
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
    """Explain why a path cannot be read; the text completes "cannot read PATH: …"."""
    match error:
        case FileNotFoundError():
            return "there is no such file or folder."
        case PermissionError():
            return "you have no permission to read it."
        case OSError(strerror=str() as message):
            return f"{message[:1].lower()}{message[1:]}."
        case _:  # a null byte in a path, from a file that is not a list of paths
            return f"{error}."
