"""Decoders by kind: the language models that write captions from features.

A decoder is one module with the names of `interface.Decoder`: `kind`, `needs_grid`, `Sizes`,
`network`, `arrays`, `set_arrays` and `stepper`. A bundle's manifest gives the kind and the sizes
of each of its decoders; `get` finds the module. Decoders from outside the package are registered
before a bundle that needs them is loaded::

    from captioner.model import decoders

    decoders.register("my_package.my_decoder")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, cast

from captioner.errors import CaptionerError
from captioner.model.decoders import (
    init_inject,
    merge,
    par_inject,
    pre_inject,
    soft_attention,
)
from captioner.model.decoders.interface import Decoder, Stepper

__all__ = ["Decoder", "Stepper", "get", "kinds", "needs_grid", "register", "sizes"]

_registered: dict[str, Decoder] = {}


def register(decoder: Decoder | str) -> Decoder:
    """Make a decoder known by its `kind`.

    Parameters
    ----------
    decoder
        The decoder, or the name of a module that is one and can be imported.

    Raises
    ------
    ValueError
        If another decoder has that kind already.
    """
    found = cast(Decoder, import_module(decoder)) if isinstance(decoder, str) else decoder
    if _registered.setdefault(found.kind, found) is not found:
        raise ValueError(f"another decoder of kind {found.kind!r} is registered")
    return found


def get(kind: str) -> Decoder:
    """The decoder of a kind.

    Raises
    ------
    CaptionerError
        If none is registered.
    """
    if kind not in _registered:
        raise CaptionerError(
            f"the model needs a decoder of kind {kind!r}; this version of captioner has "
            f"{', '.join(kinds())}.",
            "Upgrade captioner, or register the decoder before loading the model.",
        )
    return _registered[kind]


def kinds() -> tuple[str, ...]:
    """The kinds of all registered decoders, in the order of registration."""
    return tuple(_registered)


def needs_grid(*found: str) -> bool:
    """Whether a decoder of one of these kinds reads the encoder's feature map.

    Raises
    ------
    CaptionerError
        If one of them is not registered.
    """
    return any(getattr(get(kind), "needs_grid", False) for kind in found)


def sizes(entry: Mapping[str, Any]) -> Any:
    """The `Sizes` of a decoder, from its entry in a bundle's manifest."""
    made = get(entry["kind"]).Sizes
    return made(**{field.name: entry[field.name] for field in fields(made)})


for _decoder in (merge, init_inject, pre_inject, par_inject, soft_attention):
    register(cast(Decoder, _decoder))
