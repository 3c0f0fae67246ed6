"""The pages, one module each: its `ROUTES`, and its `TITLE` if it stands in the navigation.

A page may have `BODY_LIMITS`, the bytes that bodies of requests to paths with a prefix may have, if
they are more than usual.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from starlette.routing import BaseRoute

NAMES = ("grid", "photo", "upload", "review", "library", "statistics", "images")
"""Modules of this package, in the order of the navigation."""


class Link(NamedTuple):
    """An entry of the navigation."""

    path: str
    title: str


def modules() -> Iterator[ModuleType]:
    """The modules of all pages."""
    return (import_module(f"captioner.web.pages.{name}") for name in NAMES)


def routes() -> list[BaseRoute]:
    """The routes of all pages."""
    return [route for module in modules() for route in module.ROUTES]


def navigation() -> list[Link]:
    """Links to the pages that have a title: to the first route of each."""
    return [
        Link(module.ROUTES[0].path, module.TITLE)
        for module in modules()
        if hasattr(module, "TITLE")
    ]


def body_limits() -> dict[str, int]:
    """Bytes of bodies that paths with a prefix may have, of all pages."""
    return {
        prefix: limit
        for module in modules()
        for prefix, limit in getattr(module, "BODY_LIMITS", {}).items()
    }
