"""Data sets of photos with captions. `read_corpus` reads all formats; each is a module here."""

from captioner.training.corpora.copies import without_held_out
from captioner.training.corpora.corpus import SPLITS, Corpus, Example, Split
from captioner.training.corpora.format import Captions, Format, ReadOptions
from captioner.training.corpora.reading import find_data, read_corpus
from captioner.training.corpora.registry import register
from captioner.training.corpora.supplements import (
    class_of,
    read_objects,
    read_samples,
    read_sentences,
)

__all__ = [
    "SPLITS",
    "Captions",
    "Corpus",
    "Example",
    "Format",
    "ReadOptions",
    "Split",
    "class_of",
    "find_data",
    "read_corpus",
    "read_objects",
    "read_samples",
    "read_sentences",
    "register",
    "without_held_out",
]
