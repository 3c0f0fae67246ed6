"""What differs between operating systems: locks, files replaced by others, attributes, paths."""

from __future__ import annotations

import sys

WINDOWS: bool = sys.platform == "win32"
MAC: bool = sys.platform == "darwin"
