"""captioner: captions for whole photo collections, and a search that finds a photo again.

from captioner import Captioner, Library

Captioner.load().caption(["a.jpg"])
Library.open().search("dog running")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from captioner.api import Captioner
    from captioner.errors import CaptionerError, PhotoError, UsageError
    from captioner.index import Filters, Hit, Statistics
    from captioner.indexing import UpdateSummary
    from captioner.library import Library
    from captioner.model.options import DescribeOptions
    from captioner.search import SearchResults
    from captioner.types import Caption, Description, Failure, Keyword

_MODULES = {
    "Caption": "types",
    "Captioner": "api",
    "CaptionerError": "errors",
    "DescribeOptions": "model.options",
    "Description": "types",
    "Failure": "types",
    "Filters": "index",
    "Hit": "index",
    "Keyword": "types",
    "Library": "library",
    "PhotoError": "errors",
    "SearchResults": "search",
    "Statistics": "index",
    "UpdateSummary": "indexing",
    "UsageError": "errors",
}
"""The public names, and the modules that have them."""

__all__ = [
    "Caption",
    "Captioner",
    "CaptionerError",
    "DescribeOptions",
    "Description",
    "Failure",
    "Filters",
    "Hit",
    "Keyword",
    "Library",
    "PhotoError",
    "SearchResults",
    "Statistics",
    "UpdateSummary",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> object:
    # Imported on first use: `captioner --help` must not pay for NumPy and the model.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
