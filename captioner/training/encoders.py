"""The encoder: where it begins, how it is trained further, and its heads on features of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from captioner.errors import UsageError
from captioner.model import bundle as bundles
from captioner.model import networks, openvino
from captioner.training.backend import keras
from captioner.training.features import load_square
from captioner.training.finetune import PixelBatches
from captioner.training.fit import Metrics, Schedule, fit
from captioner.training.heads import (
    DevRanks,
    FeatureBatches,
    Heads,
    Lexicon,
    TrainingTargets,
    copy_heads,
)
from captioner.training.run import Arrays, FeatureExtractor, Run

CALIBRATION = 300
"""Training photos that set the ranges of the int8 graph."""


def starting_encoder(choice: str) -> Arrays:
    """Published weights: Keras' own for "imagenet", else those in a Keras weights file."""
    if choice == "imagenet":
        return networks.encoder_arrays(networks.imagenet_encoder(224))
    if not Path(choice).is_file():
        raise UsageError(
            f"no encoder at {choice}: it is neither a bundle nor a weights file.",
            "Use --encoder imagenet, --encoder bundled, or the path of one.",
        )
    return networks.encoder_arrays(networks.imagenet_encoder(224, weights=choice))


def fit_heads(
    run: Run,
    lexicon: Lexicon,
    lessons: TrainingTargets,
    eye: FeatureExtractor,
    views: int,
    part: str,
) -> Heads:
    """Word head and joint space on features of an encoder as it is."""
    options = run.config
    keras.utils.set_random_seed(options.seed)
    heads = Heads(lexicon)
    features = eye.features(lessons.examples, views)
    times = np.ones(len(lessons), np.float32)
    times[: len(run.train)] = run.sample_weights
    batches = FeatureBatches(features, lessons, sample_weights=times, seed=options.seed)
    dev = eye.features(run.dev)[:, 0].astype(np.float32)
    ranks = DevRanks(run.dev, lexicon)
    plan = Schedule(options.heads.epochs, batches.steps, options.heads.learning_rate)
    heads.compile_for(plan.learning_rate)
    heads(batches(0, 0)[0])  # builds every variable
    heads.start_from_prior(lessons)
    fit(
        heads, batches, plan,
        validate=lambda: ranks(heads, dev), metric="both_r10",
        folder=run.work / part, resume=run.resume, progress=run.progress,
    )  # fmt: skip
    return heads


def fit_encoder(
    run: Run, lexicon: Lexicon, lessons: TrainingTargets, arrays: Arrays
) -> tuple[Arrays, list[Metrics]]:
    """Train the encoder's last blocks on words, concepts and sentences; its weights and its curve.

    The heads learn first, on the encoder as it is: random heads would only spoil it.
    """
    options = run.config
    eye = FeatureExtractor.of(run, arrays, options.encoder.fine_tune_size)
    heads = fit_heads(run, lexicon, lessons, eye, 1, "warm-up")
    keras.utils.set_random_seed(options.seed)
    encoder = networks.encoder(options.encoder.fine_tune_size)
    networks.set_encoder(encoder, arrays)
    networks.freeze_below(encoder, options.encoder.fine_tune)
    whole = Heads(lexicon, encoder)
    batches = PixelBatches(lessons, photo_size=options.encoder.fine_tune_size, seed=options.seed)
    plan = Schedule(options.encoder.fine_tune_epochs, batches.steps, options.encoder.fine_tune_rate)
    whole.compile_for(plan.learning_rate)
    whole(batches(0, 0)[0])  # builds every variable
    copy_heads(whole, heads)
    ranks = DevRanks(run.dev, lexicon)
    wider = DevRanks(run.extra_dev, lexicon) if run.extra_dev else None

    def validate() -> Metrics:
        eye = FeatureExtractor.of(run, networks.encoder_arrays(encoder), options.encoder.size)
        measured = ranks(whole, eye.features(run.dev)[:, 0].astype(np.float32))
        if wider:
            found = wider(whole, eye.features(run.extra_dev)[:, 0].astype(np.float32))
            measured |= {f"wider_{name}": value for name, value in found.items()}
        return measured

    history = fit(
        whole, batches, plan,
        validate=validate, metric="both_r10",
        folder=run.work / "encoder", resume=run.resume, progress=run.progress,
    )  # fmt: skip
    run.show(history, "encoder")
    return networks.encoder_arrays(encoder), history


def ranges_of(run: Run, arrays: Arrays) -> Arrays:
    """What the encoder's int8 graph needs beside its weights, kept in the run's folder."""
    file = run.work / bundles.RANGES
    if run.resume and file.is_file():
        return load_file(file)
    run.report(f"finding the ranges of int8 on {CALIBRATION} training photos")
    random = np.random.default_rng(run.config.seed)
    chosen = random.permutation(len(run.train))[:CALIBRATION]
    photos = [load_square(run.train[row].path, run.config.encoder.size) for row in chosen]
    ranges = openvino.calibrate(arrays, run.config.encoder.size, photos)
    save_file(ranges, file)
    return ranges
