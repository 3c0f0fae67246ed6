"""The formats of data sets that captioner reads, in the order in which they are looked for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from captioner.errors import CaptionerError
from captioner.training.corpora.format import Format

FORMATS = ["huggingface", "karpathy", "coco", "flickr30k", "flickr8k", "table"]
"""Modules of this package, or full names of others. Any table would also do for some of the others,
so it comes last."""


def register(module: str) -> None:
    """Register a format by the name of its module; it is looked for before the others."""
    if module not in FORMATS:
        FORMATS.insert(0, module)


def formats() -> list[Format]:
    """All formats, imported."""
    return [
        cast(Format, import_module(name if "." in name else f"{__package__}.{name}"))
        for name in FORMATS
    ]


def find(place: Path, remedy: str) -> tuple[Format, Path]:
    """The format of a data set, and the file or folder of it that is read.

    Raises
    ------
    CaptionerError
        If it has none.
    """
    known = formats()
    for each in known:
        if found := each.find(place):
            return each, found
    looked = "; ".join(f"{each.looks_for} ({each.name})" for each in known)
    raise CaptionerError(f"{place} is no data set of a known format: looked for {looked}.", remedy)
