"""Settings as TOML: what `captioner train --config` reads, and what runs and studies write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from captioner.errors import UsageError


def written(options: Mapping[str, Any], comment: str = "") -> str:
    """TOML with one line for each option; those without a value are left out.

    Parameters
    ----------
    options
        By their names on the command line, with or without the two hyphens.
    comment
        Lines that come first.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [
        f"{name.removeprefix('--')} = {_value(value)}"
        for name, value in options.items()
        if value is not None
    ]
    return "\n".join(lines) + "\n"


def read(file: Path) -> dict[str, Any]:
    """Options by their names on the command line, without the two hyphens.

    Raises
    ------
    UsageError
        If the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{file} cannot be read: {reason}.",
            'Write options as in the command line, one per line: epochs = 8, data = "flickr8k".',
        ) from None


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # A JSON string is a TOML string, but for lone surrogates, which neither may have.
    return json.dumps(str(value).encode("utf-8", "replace").decode())
