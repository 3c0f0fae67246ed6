"""Loading Keras and its backend without the messages that they write to stderr.

While they are loaded, TensorFlow's libraries write to stderr how they were built and that there are
no CUDA drivers, whatever `TF_CPP_MIN_LOG_LEVEL` says: logging is not initialised yet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def load_backend() -> None:
    """Import Keras and its backend, which takes seconds, in silence; errors are raised as ever."""
    if "keras" not in sys.modules:
        with _silent_stderr():
            import keras  # noqa: F401


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to file descriptor 2, where C++ writes past `sys.stderr`."""
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
