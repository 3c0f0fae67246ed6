"""The index: an SQLite database that stores what every photo shows, and searches it."""

from captioner.index.chunks import ChunkCache
from captioner.index.details import HeldCaption, PhotoDetails
from captioner.index.display import DisplayCaption, KeywordEdits
from captioner.index.distributions import Distributions, Place
from captioner.index.duplicates import DuplicateGroup, DuplicatePhoto
from captioner.index.edits import Correction, CurrentCaption
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
from captioner.index.uncertain import Described, Unreviewed

__all__ = [
    "Change",
    "ChunkCache",
    "Correction",
    "Counts",
    "CurrentCaption",
    "Described",
    "DisplayCaption",
    "Distributions",
    "DuplicateGroup",
    "DuplicatePhoto",
    "FailedPhoto",
    "FailureGroup",
    "Filters",
    "HeldCaption",
    "Hit",
    "Index",
    "IndexedPhoto",
    "KeywordEdits",
    "MergeSummary",
    "MissingPhoto",
    "OtherPicture",
    "PhotoDetails",
    "PhotoRow",
    "Place",
    "Record",
    "Scan",
    "ScannedPaths",
    "SidecarFacts",
    "Statistics",
    "Unreviewed",
]
