"""What web pages and HTML reports share: templates, thumbnails and static files."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder of style sheets and scripts."""
