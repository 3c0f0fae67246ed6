"""Training of the encoder: its initial weights, fine-tuning, heads on its features, and int8."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from captioner.errors import CaptionerError, UsageError
from captioner.model import bundle as bundles
from captioner.model import encoders
from captioner.model.backend import keras, precision, runtime
from captioner.model.encoders import TrainedEncoder
from captioner.model.engines.calibration import calibrate_int8, calibration_of
from captioner.training.features import load_pixels
from captioner.training.finetune import BATCH, PixelBatches, batch_for
from captioner.training.fit import Metrics, Schedule, fit
from captioner.training.heads import (
    DevRanks,
    FeatureBatches,
    Heads,
    Lexicon,
    TrainingTargets,
    copy_heads,
)
from captioner.training.run import FeatureExtractor, Run

CALIBRATION_PHOTOS = 300
"""Training photos on which int8 is calibrated."""


def starting_encoder(source: str, size: int, kind: str = encoders.xception.name) -> TrainedEncoder:
    """An encoder that does not come from a bundle, for an input of `size` pixels.

    Parameters
    ----------
    source
        Of its weights: "imagenet" (Keras downloads the published ones), the path of a Keras weights
        file, or "random".
    kind
        Its name in the registry.

    Raises
    ------
    UsageError
        If there is no such encoder, or no such weights.
    CaptionerError
        If the weights cannot be downloaded, or are of another encoder or input size.
    """
    encoder = encoders.get(kind)
    if source == "random":
        return TrainedEncoder.of(encoder, size)
    if source != "imagenet" and not Path(source).is_file():
        raise UsageError(
            f"no encoder at {source}: it is neither a bundle nor a weights file.",
            "Use --encoder imagenet, --encoder bundled, or the path of one.",
        )
    if not isinstance(encoder, encoders.Pretrained):
        raise UsageError(
            f"there are no published weights of the encoder {kind}.",
            "Use a bundle that has this encoder, or random weights.",
        )
    try:
        weights = encoder.published_weights(source)
    except CaptionerError:
        raise
    except Exception as error:  # Keras raises any kind
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CaptionerError(
            f"the weights of the encoder {kind} cannot be had from {source}: {reason.rstrip('.')}.",
            "Download them on another machine, and name the file with --encoder-weights FILE.",
        ) from error
    return TrainedEncoder.of(encoder, size, weights)


def fit_heads(
    run: Run,
    lexicon: Lexicon,
    targets: TrainingTargets,
    extractor: FeatureExtractor,
    views: int,
    part: str,
) -> Heads:
    """Word head and joint space on features of a frozen encoder."""
    config, seed = run.config.heads, run.config.seed
    keras.utils.set_random_seed(seed)
    heads = Heads(lexicon, extractor.feature_size)
    features = extractor.features(targets.examples, views)
    sample_weights = np.ones(len(targets), np.float32)
    sample_weights[: len(run.train)] = run.sample_weights
    batches = FeatureBatches(features, targets, sample_weights=sample_weights, seed=seed)
    dev = extractor.features(run.dev)[:, 0].astype(np.float32)
    ranks = DevRanks(run.dev, lexicon)
    schedule = Schedule(config.epochs, batches.steps, config.learning_rate)
    heads.compile_for(schedule.learning_rate)
    heads(batches(0, 0)[0])  # builds every variable
    heads.start_from_prior(targets)
    fit(
        heads, batches, schedule,
        validate=lambda: ranks(heads, dev), metric="both_r10",
        folder=run.work / part, resume=run.resume, progress=run.progress,
    )  # fmt: skip
    return heads


def fine_tuning(trained: TrainedEncoder, lexicon: Lexicon, stages: int, size: int) -> Heads:
    """New heads over an encoder whose last stages are trained, on GPUs in mixed precision.

    Parameters
    ----------
    size
        Width and height of the photos, pixels.
    """
    with precision(runtime().policy if runtime().gpus() else "float32"):
        encoder = trained.network(size)
    encoders.set_trainable(encoder, trained.encoder, stages)
    return Heads(lexicon, trained.feature_size, encoder)


def fit_encoder(
    run: Run, lexicon: Lexicon, targets: TrainingTargets, trained: TrainedEncoder
) -> tuple[TrainedEncoder, list[Metrics]]:
    """Fine-tune the last stages of an encoder on words, concepts and sentences.

    The heads are trained first, with the encoder frozen: the gradients of random heads would only
    damage it.

    Returns
    -------
    The encoder with its new weights and without calibration, and the metrics of each epoch.
    """
    config, seed = run.config.encoder, run.config.seed
    trained = replace(trained, calibration=None)
    photo_size = config.fine_tune_size if trained.architecture.any_size else trained.size
    extractor = FeatureExtractor.of(run, replace(trained, size=photo_size))
    heads = fit_heads(run, lexicon, targets, extractor, 1, "warm-up")
    keras.utils.set_random_seed(seed)
    end_to_end = fine_tuning(trained, lexicon, config.fine_tune, photo_size)
    encoder = end_to_end.encoder
    gpus = runtime().gpus()
    size = config.batch_size or batch_for(gpus, photo_size)
    if gpus:
        run.report(f"Fine-tuning on {gpus[0].label}: {size} photos per step, {runtime().policy}.")
    batches = PixelBatches(targets, photo_size=photo_size, size=size, seed=seed)
    # Malladi et al. 2022, "On the SDEs and scaling rules for adaptive gradient algorithms".
    rate = config.fine_tune_rate * math.sqrt(size / BATCH)
    schedule = Schedule(config.fine_tune_epochs, batches.steps, rate)
    end_to_end.compile_for(schedule.learning_rate)
    end_to_end(batches(0, 0)[0])  # builds every variable
    copy_heads(end_to_end, heads)
    ranks = DevRanks(run.dev, lexicon)
    extra_ranks = DevRanks(run.extra_dev, lexicon) if run.extra_dev else None

    def validate() -> Metrics:
        current = replace(trained, weights=encoders.get_weights(encoder))
        extractor = FeatureExtractor.of(run, current)
        measured = ranks(end_to_end, extractor.features(run.dev)[:, 0].astype(np.float32))
        if extra_ranks:
            found = extra_ranks(
                end_to_end, extractor.features(run.extra_dev)[:, 0].astype(np.float32)
            )
            measured |= {f"extra_{name}": value for name, value in found.items()}
        return measured

    history = fit(
        end_to_end, batches, schedule,
        validate=validate, metric="both_r10",
        folder=run.work / "encoder", resume=run.resume, progress=run.progress,
    )  # fmt: skip
    run.show(history, "encoder")
    return replace(trained, weights=encoders.get_weights(encoder)), history


def calibrated(run: Run, trained: TrainedEncoder) -> TrainedEncoder:
    """The encoder calibrated for int8; its activation ranges are saved in the work folder."""
    file = run.work / bundles.ACTIVATION_RANGES
    if run.resume and file.is_file():
        return replace(trained, calibration=calibration_of(trained, load_file(file)))
    run.report(f"Calibrating int8 on {CALIBRATION_PHOTOS} training photos.")
    random = np.random.default_rng(run.config.seed)
    chosen = random.permutation(len(run.train))[:CALIBRATION_PHOTOS]
    photos = [load_pixels(run.train[row].path, trained.size) for row in chosen]
    calibration = calibrate_int8(trained, photos)
    save_file(calibration.activation_ranges, file)
    return replace(trained, calibration=calibration)
