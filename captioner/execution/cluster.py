"""The Ray cluster: connecting to it, and what its errors mean."""

from __future__ import annotations

import logging
import os
from typing import Any

from captioner.errors import CaptionerError


def load() -> Any:
    """The package `ray`, or an error that says how to install it."""
    # Ray's own notes are about its insides; its errors are raised.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise CaptionerError(
            f"--executor ray needs a package that is not installed: {error}.",
            "Install it with: pip install 'captioner[ray]'",
        ) from None
    return ray


def start(ray: Any, cpus: int) -> None:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine alone."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        # Only this machine can connect to it.
        options = {"num_cpus": cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            ray.init(**options, **quiet)
        except Exception:  # it gives itself 30 seconds, which a busy machine may exceed once
            ray.shutdown()
            ray.init(**options, **quiet)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


def explained(error: BaseException) -> Exception:
    """The error of ours behind one of Ray's, or one that says what Ray said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CaptionerError):
            return type(cause)(cause.reason, cause.remedy)
        cause = getattr(cause, "cause", None) or cause.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    what = lines[-1] if lines else type(error).__name__
    return CaptionerError(
        f"Ray gave up: {what.rstrip('.')}.",
        "Run the same command again: finished parts are kept.",
    )
