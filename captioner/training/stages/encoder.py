"""Stage 3: the encoder, taken from a bundle or a weights file, fine-tuned if asked, in int8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle
from captioner.training.encoders import fit_encoder, ranges_of, starting_encoder
from captioner.training.heads import Lexicon, TrainingTargets
from captioner.training.run import Arrays, FeatureExtractor, Run, RunBase

OpenBundle = Callable[[Path | None], Bundle]
"""Opens a bundle by its folder; the one that ships with captioner for None."""


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """An encoder as a bundle holds it."""

    weights: Arrays
    ranges: Arrays
    """Activation ranges of the int8 graph."""
    size: int
    """Input: width and height, pixels."""
    record: dict[str, Any] = field(default_factory=dict)
    """For the training record: how it was trained."""

    @classmethod
    def of(cls, bundle: Bundle) -> TrainedEncoder:
        """Read the encoder of a bundle."""
        return cls(bundle.arrays(bundles.ENCODER), bundle.arrays(bundles.RANGES), bundle.size)

    def extractor(self, run: RunBase) -> FeatureExtractor:
        """The encoder in int8, as users run it."""
        return FeatureExtractor.of(run, self.weights, self.size, self.ranges)


def prepare_encoder(
    run: Run, lexicon: Lexicon, targets: TrainingTargets, open_bundle: OpenBundle
) -> TrainedEncoder:
    """Fetch the encoder, fine-tune it if asked, and calibrate it for int8 if it has changed."""
    config = run.config.encoder
    if config.source == "bundled" or Path(config.source).is_dir():
        source = open_bundle(None if config.source == "bundled" else Path(config.source))
        weights = source.arrays(bundles.ENCODER)
        if not config.fine_tune and source.size == config.size:
            ranges = source.arrays(bundles.RANGES)
            record = {"encoder": source.manifest["training"]}
            return TrainedEncoder(weights, ranges, config.size, record)
    else:
        weights = starting_encoder(config.source)
    record = {}
    if config.fine_tune:
        weights, record["encoder"] = fit_encoder(run, lexicon, targets, weights)
    return TrainedEncoder(weights, ranges_of(run, weights), config.size, record)
