"""Differences between operating systems: locks, replacing files, file attributes, paths."""

from __future__ import annotations

import sys

WINDOWS: bool = sys.platform == "win32"
MAC: bool = sys.platform == "darwin"
