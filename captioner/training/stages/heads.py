"""Stage 4: word head and joint space, on the features of the finished encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from captioner.model import bundle as bundles
from captioner.model import head_networks
from captioner.model.bundle import Bundle
from captioner.model.concepts import Concepts
from captioner.model.heads import JointSpace, WordHead
from captioner.training.encoders import fit_heads
from captioner.training.heads import Lexicon, TrainingTargets
from captioner.training.hypernyms import fit_hypernyms
from captioner.training.run import Arrays, FeatureExtractor, Run
from captioner.training.teacher import concept_table

_CHUNK = 4096
"""Photos whose features are in memory at once."""


@dataclass(frozen=True, slots=True)
class TrainedHeads:
    """Word head, joint space and concepts as a bundle holds them."""

    lexicon: Lexicon
    words: Arrays
    joint: Arrays
    concept_table: dict[str, Any]
    """The content of `concepts.json`."""

    @classmethod
    def of(cls, bundle: Bundle) -> TrainedHeads:
        """Read the heads of a bundle."""
        return cls(
            Lexicon.of(bundle.json(bundles.LEXICON)),
            bundle.arrays(bundles.WORDS),
            bundle.arrays(bundles.JOINT),
            bundle.json(bundles.CONCEPTS),
        )

    @property
    def word_head(self) -> WordHead:
        """The word head in NumPy."""
        return WordHead(self.words, self.lexicon.stems, self.lexicon.display_words)

    @property
    def joint_space(self) -> JointSpace:
        """The joint space in NumPy."""
        return JointSpace(self.joint, self.lexicon.words)

    @property
    def concepts(self) -> Concepts:
        """The concepts and their hypernyms."""
        return Concepts(self.concept_table)


def train_heads(
    run: Run, lexicon: Lexicon, targets: TrainingTargets, extractor: FeatureExtractor
) -> TrainedHeads:
    """Train both heads, then the rows of the hypernyms if there are concepts."""
    model = fit_heads(run, lexicon, targets, extractor, 2, "heads")
    words = head_networks.word_head_arrays(model.words)
    prior = targets.labels[: len(run.train)].mean(0, dtype=np.float32)
    words["stems.usual"] = np.log(np.maximum(prior, 1e-4))  # the log prior, by its name in a bundle
    heads = TrainedHeads(
        lexicon,
        words,
        head_networks.joint_arrays(model.image, model.text),
        concept_table(run.samples, lexicon.objects),
    )
    if run.samples:
        features = extractor.features(targets.examples, 2)
        hidden = np.concatenate(
            [
                heads.word_head.hidden(features[first : first + _CHUNK].astype(np.float32))
                for first in range(0, len(features), _CHUNK)
            ]
        )
        probabilities = targets.labels[:, len(lexicon.stems) :]
        words |= fit_hypernyms(hidden, probabilities, heads.concepts, seed=run.config.seed)
    return heads
