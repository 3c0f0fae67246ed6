"""Stage 3: the encoder, taken from a bundle or a weights file, fine-tuned if asked, in int8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from captioner.model.backend import keras
from captioner.model.bundle import Bundle
from captioner.model.encoders import TrainedEncoder
from captioner.training.encoders import calibrated, fit_encoder, starting_encoder
from captioner.training.heads import Lexicon, TrainingTargets
from captioner.training.run import FeatureExtractor, Run, RunBase

OpenBundle = Callable[[Path | None], Bundle]
"""Opens a bundle by its folder; the one that ships with captioner for None."""


@dataclass(frozen=True, slots=True)
class PreparedEncoder:
    """The encoder of the bundle, calibrated for int8."""

    trained: TrainedEncoder
    record: dict[str, Any] = field(default_factory=dict)
    """For the training record: how it was trained."""

    def extractor(self, run: RunBase, *, grid: bool = False) -> FeatureExtractor:
        """The encoder in int8, as users run it; with `grid` it computes feature maps as well."""
        return FeatureExtractor.of(run, self.trained, grid=grid)


def prepare_encoder(
    run: Run, lexicon: Lexicon, targets: TrainingTargets, open_bundle: OpenBundle
) -> PreparedEncoder:
    """Fetch the encoder, fine-tune it if asked, and calibrate it for int8.

    An encoder from a bundle keeps the calibration that was made for its weights.
    """
    config = run.config.encoder
    record: dict[str, Any] = {}
    if config.source == "bundled" or Path(config.source).is_dir():
        source = open_bundle(None if config.source == "bundled" else Path(config.source))
        trained = TrainedEncoder.read(source)
        if not config.fine_tune and source.size == config.size and trained.is_calibrated():
            return PreparedEncoder(trained, {"encoder": source.manifest["training"]})
        record["encoder"] = source.manifest["training"]
        trained = replace(trained, size=config.size, calibration=None)
    else:
        keras.utils.set_random_seed(run.config.seed)  # for random weights
        trained = starting_encoder(config.source, config.size, config.kind)
    if config.fine_tune:
        trained, record["encoder"] = fit_encoder(run, lexicon, targets, trained)
    return PreparedEncoder(calibrated(run, trained), record)
