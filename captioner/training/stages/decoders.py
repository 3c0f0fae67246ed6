"""Stage 5: the decoders, each with its own seed, pre-trained on text alone if there is any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from captioner.model import decoders
from captioner.model.decoders import Stepper
from captioner.model.vocabulary import sentence
from captioner.training.config import DecoderConfig
from captioner.training.decoders import (
    SentenceBatches,
    fit_decoder,
    language_batches,
)
from captioner.training.features import CachedFeatures
from captioner.training.fit import Metrics, Schedule
from captioner.training.heads import TrainingTargets
from captioner.training.metrics import cider
from captioner.training.presets import PRESETS, sizes_of
from captioner.training.run import Arrays, FeatureExtractor, Run, RunBase
from captioner.training.stages.parts import BundleParts

_VALIDATION_BEAM_WIDTH = 8
"""Narrower than in use, for speed."""


@dataclass(frozen=True, slots=True)
class TrainedDecoder:
    """One decoder, and how it was trained."""

    kind: str
    """Of architecture, as the bundle's manifest names it."""
    sizes: Any
    """The `Sizes` of its kind."""
    arrays: Arrays
    record: dict[str, Any]

    def stepper(self) -> Stepper:
        """The decoder in NumPy."""
        return decoders.get(self.kind).stepper(self.arrays)


@dataclass(frozen=True, slots=True)
class TrainedDecoders:
    """All decoders, in order of their seeds."""

    decoders: tuple[TrainedDecoder, ...]
    language: dict[str, Any] = field(default_factory=dict)
    """How the language side was pre-trained, by the part's name; empty if it was not."""

    def record(self) -> dict[str, Any]:
        """For the training record."""
        numbered = enumerate(self.decoders, 1)
        return self.language | {f"decoder-{number}": one.record for number, one in numbered}


def train_decoders(
    run: Run, parts: BundleParts, targets: TrainingTargets, extractor: FeatureExtractor
) -> TrainedDecoders:
    """Train all decoders by teacher forcing: `count` of the first kind, then of each other."""
    config = run.config.decoders
    features = extractor.cached(targets.examples, 2)[: len(run.train)]
    dev = extractor.cached(run.dev)
    trained: list[TrainedDecoder] = []
    language: dict[str, Any] = {}
    for kind, sizes in architectures(config):
        own = f"language-{kind}" if language else "language"
        start, record = _pretrain(run, parts, dev, kind, sizes, own)
        language |= {} if record is None else {own: record}
        for _ in range(config.count):
            trained.append(
                _train_decoder(run, parts, features, dev, kind, sizes, start, len(trained) + 1)
            )
    return TrainedDecoders(tuple(trained), language)


def architectures(config: DecoderConfig) -> list[tuple[str, Any]]:
    """The kinds of the decoders to train and their sizes."""
    others = [PRESETS[name] for name in config.mixed_with]
    return [
        (config.kind, sizes_of(config.kind, config.preset)),
        *((preset.kind, preset.sizes) for preset in others),
    ]


def _train_decoder(
    run: Run,
    parts: BundleParts,
    features: CachedFeatures,
    dev: CachedFeatures,
    kind: str,
    sizes: Any,
    start: Arrays | None,
    number: int,
) -> TrainedDecoder:
    config = run.config.decoders
    grid = decoders.needs_grid(kind)
    part, seed = f"decoder-{number}", run.config.seed + number - 1
    batches = SentenceBatches(
        features, run.train, parts.vocabulary, grid=grid,
        sample_weights=run.sample_weights, other_style=run.other_style, seed=seed,
    )  # fmt: skip
    arrays, history = fit_decoder(
        batches, parts.vocabulary, kind, sizes,
        Schedule(config.epochs, batches.steps, config.learning_rate),
        dev=SentenceBatches(dev, run.dev, parts.vocabulary, grid=grid, seed=0),
        measure=decoder_validator(run, parts, dev, kind), start=start,
        scheduled_sampling=config.scheduled_sampling, seed=seed,
        folder=run.work / part, resume=run.resume, progress=run.progress,
    )  # fmt: skip
    run.show(history, part)
    return TrainedDecoder(kind, sizes, arrays, {"seed": seed, "history": history})


def decoder_validator(
    run: RunBase, parts: BundleParts, dev: CachedFeatures, kind: str
) -> Callable[[Arrays], Metrics]:
    """Make the function that measures a decoder by the captions it generates for dev photos.

    Parameters
    ----------
    dev
        Features of the dev photos.
    kind
        Of decoder.

    Returns
    -------
    From a decoder's arrays to `cider` (× 100) and `words`, the number of distinct words.
    """
    features, stepper = dev.view(), decoders.get(kind).stepper
    references = {example.name: example.captions for example in run.dev}

    def validate(arrays: Arrays) -> Metrics:
        found = parts.candidates([stepper(arrays)], features, _VALIDATION_BEAM_WIDTH)
        captions = [candidates[0].words for candidates in found]
        texts = {e.name: sentence(words) for e, words in zip(run.dev, captions, strict=True)}
        used = {word for words in captions for word in words}
        return {"cider": cider(texts, references), "words": float(len(used))}

    return validate


def _pretrain(
    run: Run, parts: BundleParts, features: CachedFeatures, kind: str, sizes: Any, part: str
) -> tuple[Arrays | None, dict[str, Any] | None]:
    """Pre-train a decoder on captions without photos.

    Their features are zeros. The LSTM of a merge decoder reads words alone, never the image, so
    text is enough to train it; others learn the language, and what photos add to it later.
    """
    if not run.sentences:
        return None, None
    config, seed = run.config.decoders, run.config.seed
    grid = decoders.needs_grid(kind)
    nothing = features.zeros(grid=grid)
    batches = language_batches(run.sentences, parts.vocabulary, seed, nothing, grid=grid)
    held_out = [example.captions[0] for example in run.dev]
    arrays, history = fit_decoder(
        batches, parts.vocabulary, kind, sizes,
        Schedule(1, batches.steps, config.learning_rate),
        dev=language_batches(held_out, parts.vocabulary, 0, nothing, grid=grid),
        measure=lambda arrays: {},
        metric="likelihood", seed=seed,
        folder=run.work / part, resume=run.resume, progress=run.progress,
    )  # fmt: skip
    return arrays, {"history": history}
