"""Stage 1: the vocabularies of decoders and heads, from the training captions."""

from __future__ import annotations

from dataclasses import dataclass

from captioner.errors import CaptionerError
from captioner.model.vocabulary import Vocabulary
from captioner.training.corpora import class_of
from captioner.training.decoders import vocabulary_coverage
from captioner.training.heads import Lexicon
from captioner.training.run import Run


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """Tokens of the decoders, and stems and words of the heads."""

    decoder: Vocabulary
    lexicon: Lexicon


def build_vocabularies(run: Run) -> Vocabularies:
    """Count the words of the training captions.

    Raises
    ------
    CaptionerError
        If no word occurs often enough to be learnt, or no annotated photo is trained on.
    """
    captions = run.captions()
    if run.objects and not run.object_names:
        raise CaptionerError(
            "--objects: the file names no object in any of the photos to train on.",
            "Name each photo by its file name, as the caption files do.",
        )
    vocabulary = Vocabulary.from_captions(captions)
    lexicon = Lexicon.from_captions(
        captions, [class_of(sample.path) for sample in run.samples], run.object_names
    )
    if not lexicon.stems:
        raise CaptionerError(
            f"{run.corpus.name} has too few captions: no word occurs eight times.",
            "Add photos with captions, at least a few hundred.",
        )
    covered = 100 * vocabulary_coverage(vocabulary, captions)
    run.report(
        f"{len(run.train):,} photos to train on, {len(run.dev):,} to measure on; "
        f"{len(vocabulary):,} words, which cover {covered:.1f} % of those in the captions"
    )
    return Vocabularies(vocabulary, lexicon)
