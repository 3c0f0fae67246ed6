"""Training and evaluation of models: corpora, features, the training loop, stages, metrics."""

import logging
import os
import sqlite3  # noqa: F401  before TensorFlow, whose own SQLite, without FTS5, would take its place

from captioner import offline

offline.prepare()
# TensorFlow logs missing CUDA drivers and retraced graphs as if they were problems: see also
# `captioner.training.backend`.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)
