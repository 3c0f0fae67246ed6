"""The index: one SQLite file that remembers what every photo shows and finds it again."""

from captioner.index.changes import Change, Survey
from captioner.index.edits import Said
from captioner.index.facts import WithSidecars
from captioner.index.filters import Filters
from captioner.index.hits import Hit
from captioner.index.index import Counts, Index
from captioner.index.missing import Entry, Lost, Walked
from captioner.index.records import Record
from captioner.index.shown import Shown
from captioner.index.statistics import Statistics

__all__ = [
    "Change",
    "Counts",
    "Entry",
    "Filters",
    "Hit",
    "Index",
    "Lost",
    "Record",
    "Said",
    "Shown",
    "Statistics",
    "Survey",
    "Walked",
    "WithSidecars",
]
