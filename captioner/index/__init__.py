"""The index: one SQLite file that remembers what every photo shows and finds it again."""

from captioner.index.filters import Filters
from captioner.index.index import Counts, Index
from captioner.index.search import Hit

__all__ = ["Counts", "Filters", "Hit", "Index"]
