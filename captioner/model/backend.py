"""Keras, imported the one safe way: after SQLite, and with TensorFlow's start-up messages off.

Everything in `captioner.model` that needs Keras takes it from here, inside the functions that need
it: importing a backend takes seconds. TensorFlow brings an SQLite of its own, without FTS5, which
would take the place of Python's if it were loaded first.
"""

from __future__ import annotations

import os
import sqlite3  # noqa: F401  before TensorFlow: see above

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

__all__ = ["keras"]
