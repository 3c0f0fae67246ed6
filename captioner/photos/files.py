"""Opening what may be anything: only regular files, without waiting, and errors in plain words."""

from __future__ import annotations

from captioner.regular import NEITHER, open_regular

__all__ = ["NEITHER", "explain", "open_regular"]


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
