"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""In a container: microseconds of CPU time per period, or "max", and the period."""


def cores() -> int:
    """Cores that this process may use: fewer than the machine has if it is restricted to some.

    By its affinity, or by the quota of a container.
    """
    if hasattr(os, "sched_getaffinity"):
        number = len(os.sched_getaffinity(0))
    else:
        number = os.cpu_count() or 1
    try:
        quota, period = map(int, _QUOTA.read_text().split())
    except (OSError, ValueError):  # no container, or no quota
        return number
    return max(1, min(number, -(-quota // period)))
