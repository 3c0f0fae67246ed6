"""Pace: how many photos a run does in a second, and how long the rest will take."""

from __future__ import annotations

import time
from collections import deque

_MIN_SECONDS = 2.0
"""Seconds of work before the pace is estimated."""
_LATEST = 1000
"""Photos that the estimate is made from: the pace may change."""


class Pace:
    """Estimates the pace of a run from when its latest photos were done."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_LATEST)

    def restart(self) -> None:
        """Begin again now: what came before, such as loading a model, does not count."""
        self._times = deque([time.monotonic()], _LATEST)

    def done(self) -> None:
        """Count one photo."""
        self._times.append(time.monotonic())

    def per_second(self) -> float | None:
        """Photos per second; None until there is something to estimate it from."""
        times = self._times
        # Until the last photo rather than now, since photos are completed in batches.
        seconds = times[-1] - times[0] if times else 0
        return (len(times) - 1) / seconds if seconds > _MIN_SECONDS else None

    def seconds_left(self, photos: int) -> float | None:
        """Seconds that so many further photos will take, from now."""
        pace = self.per_second()
        if pace is None:
            return None
        return max(photos / pace - (time.monotonic() - self._times[-1]), 0.0)


def spell_pace(photos_per_second: float, unit: str = "photo") -> str:
    """Format a speed: "0.8 photos/s", "126 photos/s"."""
    return f"{photos_per_second:,.{0 if photos_per_second >= 10 else 1}f} {unit}s/s"


def spell_time(seconds: float) -> str:
    """Format a duration: "8 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
