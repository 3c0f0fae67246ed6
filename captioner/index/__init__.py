"""The index: one SQLite file that remembers what every photo shows and finds it again."""

from captioner.index.changes import Change, Survey
from captioner.index.index import Counts, Index
from captioner.index.missing import Missing
from captioner.index.search import Hit

__all__ = ["Change", "Counts", "Hit", "Index", "Missing", "Survey"]
