"""Keras for training: imported after SQLite, and without the messages that TensorFlow prints.

TensorFlow brings an SQLite of its own, without FTS5, which would take the place of Python's if it
were loaded first. While its libraries are loaded, they write to stderr how they were built and that
there are no CUDA drivers, whatever `TF_CPP_MIN_LOG_LEVEL` says: logging is not initialised yet.
"""

from __future__ import annotations

import logging
import os
import sqlite3  # noqa: F401  before TensorFlow: see above
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# It warns of functions traced again for another batch shape, as the last batch of an epoch has.
logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to file descriptor 2, where C++ writes past `sys.stderr`."""
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


with _silent_stderr():
    import keras
    from keras import layers, ops

__all__ = ["keras", "layers", "ops"]
