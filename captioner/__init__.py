"""captioner: captions for whole photo collections, and a search that finds a photo again.

from captioner import Captioner
Captioner.load().caption(["a.jpg"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Captioner", "__version__"]

if TYPE_CHECKING:
    from captioner.api import Captioner


def __getattr__(name: str) -> object:
    # Loaded on first use: `captioner --help` must not pay for NumPy and the model.
    if name == "Captioner":
        from captioner.api import Captioner

        return Captioner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
