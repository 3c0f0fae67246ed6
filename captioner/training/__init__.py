"""Making and measuring a model: corpora, features, fitting, metrics, evaluation."""

import sqlite3  # noqa: F401  before TensorFlow, whose own SQLite, without FTS5, would take its place

from captioner import offline

offline.prepare()
