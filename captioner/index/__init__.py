"""The index: an SQLite database that stores what every photo shows, and searches it."""

from captioner.index.chunks import ChunkCache
from captioner.index.display import DisplayCaption
from captioner.index.distributions import Distributions, Place
from captioner.index.duplicates import DuplicateGroup, DuplicatePhoto
from captioner.index.edits import CurrentCaption
from captioner.index.facts import SidecarFacts
from captioner.index.failures import FailedPhoto, FailureGroup
from captioner.index.filters import Filters
from captioner.index.hits import Hit
from captioner.index.index import Index
from captioner.index.merge import MergeSummary, OtherPicture
from captioner.index.missing import IndexedPhoto, MissingPhoto, ScannedPaths
from captioner.index.records import Record
from captioner.index.rows import PhotoRow
from captioner.index.scan import Change, Scan
from captioner.index.statistics import Counts, Statistics

__all__ = [
    "Change",
    "ChunkCache",
    "Counts",
    "CurrentCaption",
    "DisplayCaption",
    "Distributions",
    "DuplicateGroup",
    "DuplicatePhoto",
    "FailedPhoto",
    "FailureGroup",
    "Filters",
    "Hit",
    "Index",
    "IndexedPhoto",
    "MergeSummary",
    "MissingPhoto",
    "OtherPicture",
    "PhotoRow",
    "Place",
    "Record",
    "Scan",
    "ScannedPaths",
    "SidecarFacts",
    "Statistics",
]
