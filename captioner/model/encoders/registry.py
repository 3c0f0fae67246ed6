"""The encoders that there are, by name."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from captioner.errors import UsageError
from captioner.model.encoders.interface import Encoder

_registered: dict[str, Encoder] = {}


def register(encoder: Encoder | str) -> Encoder:
    """Make an encoder known by its name.

    Parameters
    ----------
    encoder
        The encoder, or the name of a module that is one and can be imported.

    Raises
    ------
    ValueError
        If another encoder has that name already.
    """
    found = cast(Encoder, import_module(encoder)) if isinstance(encoder, str) else encoder
    if _registered.setdefault(found.name, found) is not found:
        raise ValueError(f"another encoder named {found.name!r} is registered")
    return found


def get(name: str) -> Encoder:
    """The encoder of this name.

    Raises
    ------
    UsageError
        If none is registered by it.
    """
    if name not in _registered:
        raise UsageError(f"there is no encoder {name}.", f"Use one of: {', '.join(names())}.")
    return _registered[name]


def names() -> tuple[str, ...]:
    """Names of all registered encoders."""
    return tuple(_registered)
