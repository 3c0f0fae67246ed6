"""Self-critical sequence training: decoders trained further on CIDEr-D by policy gradient.

Rennie et al. (2017), "Self-Critical Sequence Training for Image Captioning", with the mean reward
of a photo's other samples as the baseline (Luo, "A Better Variant of Self-Critical Sequence
Training", 2020): a sampled caption with a higher reward than the photo's others becomes more
probable, one with a lower reward less. On the reward alone a decoder unlearns all words that are
seldom worth their risk, so cross-entropy on the reference captions keeps a share of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import UsageError
from captioner.model import decoders as kinds
from captioner.model import destination
from captioner.model.backend import keras, ops, runtime
from captioner.model.beam import sample
from captioner.model.bundle import Bundle
from captioner.model.decoders import Decoder
from captioner.model.encoders import TrainedEncoder
from captioner.model.vocabulary import (
    END,
    OTHER_STYLE,
    PAD,
    SPECIAL_TOKENS,
    START,
    Vocabulary,
    words,
)
from captioner.training.config import SelfCriticalConfig
from captioner.training.corpora import Example
from captioner.training.curves import summary
from captioner.training.decoders import IntArray, smoothed_cross_entropy
from captioner.training.features import CachedFeatures
from captioner.training.fit import Metrics, Schedule, fit
from captioner.training.progress import Progress
from captioner.training.reward import CiderD
from captioner.training.run import Arrays, FeatureExtractor, SelfCriticalRun
from captioner.training.scheduled import features_of
from captioner.training.stages.decoders import (
    TrainedDecoder,
    TrainedDecoders,
    decoder_validator,
)
from captioner.training.stages.parts import BundleParts
from captioner.training.stages.selection import select_captioning
from captioner.training.stages.writing import Result, write_with_new_decoders
from captioner.types import FloatArray, HalfArray

Reward = Callable[[IntArray, IntArray], FloatArray]
"""Rewards of captions: photos (N,) and the tokens sampled for each (N, k, T) → (N, k)."""

MAX_WORDS = 16
"""Of a caption that is sampled or learnt; a longer one is cut before its end token."""
CAPTIONS_PER_PHOTO = 2
"""Reference captions in the cross-entropy of each photo in a batch."""


class SelfCriticalModel(keras.Model):
    """A decoder with the loss of self-critical training, on captions it samples and on references.

    `train_on_batch` takes a dictionary: `feature` (N, D) or `grid` (N, h, w, C), as the decoder
    reads it, `photos` (N,), `captions` (N, CAPTIONS_PER_PHOTO, T), and `seed`, an integer that
    fixes what is sampled, so that a resumed run is the same run.
    """

    def __init__(
        self, kind: Decoder, decoder: keras.Model, reward: Reward, config: SelfCriticalConfig
    ) -> None:
        super().__init__(name="self_critical")
        self._kind, self.decoder = kind, decoder
        self._reward, self._options = reward, config
        self._rewards: list[float] = []
        self._photo = "grid" if kinds.needs_grid(kind.kind) else "feature"

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits of the decoder."""
        own = {name: inputs[name] for name in (self._photo, "tokens")}
        return self.decoder(own, training=training)

    def train_on_batch(self, x: Any, y: Any = None, **options: Any) -> Any:
        """Sample captions with the current weights, compute their rewards, and take one step."""
        photo, captions = x[self._photo], x["captions"]
        stepper = self._kind.stepper(self._kind.arrays(self.decoder))
        random = np.random.default_rng(x["seed"])
        samples = sample(
            stepper,
            features_of(x),
            samples=self._options.samples,
            start=captions[:, 0, 0],
            max_length=MAX_WORDS,
            inverse_temperature=self._options.inverse_temperature,
            random=random,
        )
        rewards = self._reward(x["photos"], samples)
        self._rewards.append(float(rewards.mean()))
        tokens = np.concatenate([one.reshape(-1, one.shape[2]) for one in (samples, captions)])
        # Even lengths keep the number of traced graphs small.
        length = int((tokens != PAD).sum(1).max())
        tokens = np.pad(tokens, ((0, 0), (0, 2)))[:, : length + length % 2]
        following = np.pad(tokens[:, 1:], ((0, 0), (0, 1)))
        owners = [np.repeat(np.arange(len(photo)), one.shape[1]) for one in (samples, captions)]
        batch = {
            self._photo: photo[np.concatenate(owners)],
            "tokens": tokens,
            "advantage": advantages(rewards).reshape(-1),
        }
        return super().train_on_batch(batch, following, **options)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Policy gradient of the samples, which come first, and cross-entropy of the references."""
        sampled = ops.shape(x["advantage"])[0]
        target, rl_weight = y[:sampled], self._options.rl_weight
        counts = ops.cast(target != PAD, "float32")
        logits = self._options.inverse_temperature * ops.cast(y_pred[:sampled], "float32")
        log_p = ops.log_softmax(logits, axis=-1)
        own = ops.take_along_axis(log_p, ops.expand_dims(target, -1), axis=-1)[..., 0]
        objective = ops.sum(ops.expand_dims(x["advantage"], 1) * own * counts) / ops.sum(counts)
        entropy = ops.mean(smoothed_cross_entropy(y[sampled:], y_pred[sampled:]))
        return (1 - rl_weight) * entropy - rl_weight * objective

    def arrays(self) -> Arrays:
        """The decoder's weights as its stepper takes them."""
        return self._kind.arrays(self.decoder)

    def mean_reward(self) -> float:
        """Mean reward of all samples since the last call; 0 if there were none."""
        mean = float(np.mean(self._rewards)) if self._rewards else 0.0
        self._rewards.clear()
        return mean


def advantages(rewards: FloatArray) -> FloatArray:
    """Each reward less the mean of its row's others, (N, k), scaled to unit standard deviation."""
    others = (rewards.sum(1, keepdims=True) - rewards) / (rewards.shape[1] - 1)
    difference = rewards - others
    return (difference / (difference.std() + 1e-6)).astype(np.float32)


class PhotoBatches:
    """Photos for `SelfCriticalModel`, each with some of its captions: batches for `fit`.

    Parameters
    ----------
    features
        Of the photos; pooled ones may be given as an array, float16 (photos, views, D). Each use of
        a photo takes a random view.
    grid
        Whether the batches have feature maps (`grid`) instead of pooled features (`feature`).
    sample_weights
        float32 (photos,): how often an epoch uses each photo, rounded, at least once.
    other_style
        Paths of photos whose captions begin with the token of the other style.
    """

    def __init__(
        self,
        features: HalfArray | CachedFeatures,
        examples: Sequence[Example],
        vocabulary: Vocabulary,
        *,
        grid: bool = False,
        sample_weights: FloatArray,
        other_style: Container[Path] = (),
        size: int = 64,
        seed: int,
    ) -> None:
        self.features, self.grid = CachedFeatures.of(features), grid
        self.size, self.seed = size, seed
        self.tokens = [
            np.stack([vocabulary.encode(caption, MAX_WORDS + 2) for caption in example.captions])
            for example in examples
        ]
        for example, tokens in zip(examples, self.tokens, strict=True):
            if example.path in other_style:
                tokens[:, 0] = OTHER_STYLE
        self.rows = np.repeat(
            np.arange(len(examples)), np.maximum(1, np.rint(sample_weights).astype(int))
        )
        self.steps = -(-len(self.rows) // size)

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], None]:
        """Batch `step` of a shuffle of all photos that depends on the epoch alone."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        photos = order[step * self.size : (step + 1) * self.size]
        random = np.random.default_rng([self.seed, epoch, step])
        views = random.integers(self.features.views, size=len(photos))
        captions = [
            self.tokens[photo][random.integers(len(self.tokens[photo]), size=CAPTIONS_PER_PHOTO)]
            for photo in photos
        ]
        return {
            **self.features.inputs(photos, views, grid=self.grid),
            "photos": photos,
            "captions": np.stack(captions),
            "seed": int(random.integers(2**31)),
        }, None


def make_reward(
    examples: Sequence[Example],
    parts: BundleParts,
    features: HalfArray,
    similarity_weight: float,
    other_style: Container[Path] = (),
) -> Reward:
    """Make the reward: CIDEr-D, the end token a word like others, plus weighted similarity.

    Parameters
    ----------
    features
        Pooled, float16 (photos, views, D).
    similarity_weight
        Of the cosine of caption and photo in the joint space.
    other_style
        Paths of photos with captions in the other style.
    """
    end = SPECIAL_TOKENS[END]
    references = [[[*words(caption), end] for caption in photo.captions] for photo in examples]
    # What is a rare phrase in one style may be common in the other.
    styles = [photo.path in other_style for photo in examples]
    metrics = {
        style: CiderD(
            [own for own, other in zip(references, styles, strict=True) if other == style]
        )
        for style in set(styles)
    }
    space = parts.heads.joint_space
    embeddings = space.image(features[:, 0].astype(np.float32)) if similarity_weight else None

    def reward(photos: IntArray, samples: IntArray) -> FloatArray:
        captions = [[parts.vocabulary.decode(row) for row in rows] for rows in samples.tolist()]
        ends = [[[end] if END in row else [] for row in rows] for rows in samples.tolist()]
        scores = np.array(
            [
                metrics[styles[photo]](
                    [words + end for words, end in zip(*one, strict=True)], references[photo]
                )
                for photo, *one in zip(photos, captions, ends, strict=True)
            ],
            np.float32,
        )
        if embeddings is not None:
            vectors = space.text([words for some in captions for words in some])
            vectors = vectors.reshape(*scores.shape, -1)
            scores += similarity_weight * np.einsum("nkd,nd->nk", vectors, embeddings[photos])
        return scores

    return reward


def train_self_critical(run: SelfCriticalRun, out: Path, source: Bundle) -> Result:
    """Train the decoders of a bundle further, each in turn, and write a bundle with them.

    A decoder that does not improve on dev keeps its weights. The choice of decoders, reranking and
    confidence are fitted again; everything else is the source's.

    Parameters
    ----------
    out
        The bundle's folder: absent or empty, or an earlier bundle if the run is forced.

    Raises
    ------
    CaptionerError
        If there are too few photos to train on or to measure on.
    """
    destination.check(out, force=run.force)
    run.begin()
    with run.recorded("train-cider", out) as recording:
        parts = BundleParts.of(source)
        extractor = FeatureExtractor.of(run, TrainedEncoder.read(source), grid=source.needs_grid)
        decoders = _train_decoders(run, parts, source, extractor)
        captioning = select_captioning(run, parts, decoders.decoders, extractor)
        result = write_with_new_decoders(run, out, source, captioning, decoders.record())
        recording.finish(result.cider)
    return result


def _train_decoders(
    run: SelfCriticalRun, parts: BundleParts, source: Bundle, extractor: FeatureExtractor
) -> TrainedDecoders:
    features = extractor.cached(run.train, 2)
    reward = make_reward(
        run.train, parts, features.pooled, run.config.similarity_reward, run.other_style
    )
    dev = extractor.cached(run.dev)
    trained = []
    for number, entry in enumerate(source.manifest["decoders"], 1):
        part, seed = f"decoder-{number}", run.config.seed + number - 1
        kind, before = kinds.get(entry["kind"]), source.arrays(entry["file"])
        validate = decoder_validator(run, parts, dev, entry["kind"])
        start = validate(before)
        run.report(f"decoder {number}, before: {summary(start, start)}")
        keras.utils.set_random_seed(seed)
        sizes = kinds.sizes(entry)
        grid = kinds.needs_grid(entry["kind"])
        trained_with = _with_dropout(sizes, run.config.dropout, entry["kind"])
        decoder = kind.network(len(parts.vocabulary), trained_with, features.size(grid=grid))
        kind.set_arrays(decoder, before)
        model = SelfCriticalModel(kind, decoder, reward, run.config)
        batches = PhotoBatches(
            features, run.train, parts.vocabulary, grid=grid,
            sample_weights=run.sample_weights, other_style=run.other_style, seed=seed,
        )  # fmt: skip
        history = fit_self_critical(
            model, batches, Schedule(run.config.epochs, batches.steps, run.config.learning_rate),
            validate=validate, folder=run.work / part, resume=run.resume, progress=run.progress,
        )  # fmt: skip
        run.show(history, part)
        better = max(one["cider"] for one in history) > start["cider"]
        if not better:
            run.report(f"decoder {number} keeps its weights: no epoch improved its CIDEr.")
        arrays = kind.arrays(decoder) if better else before
        record = {"seed": seed, "start": start, "history": history, "kept": better}
        trained.append(TrainedDecoder(entry["kind"], sizes, arrays, record))
    return TrainedDecoders(tuple(trained))


def _with_dropout(sizes: Any, dropout: float | None, kind: str) -> Any:
    if dropout is None:
        return sizes
    if "dropout" not in sizes.__dataclass_fields__:
        raise UsageError(
            f"--dropout {dropout:g}: a decoder of kind {kind} has no dropout.", "Omit --dropout."
        )
    return replace(sizes, dropout=dropout)


def fit_self_critical(
    model: SelfCriticalModel,
    batches: PhotoBatches,
    schedule: Schedule,
    *,
    validate: Callable[[Arrays], Metrics],
    folder: Path,
    resume: bool,
    progress: Progress,
) -> list[Metrics]:
    """Train a decoder on its reward; leave the weights of the best epoch loaded.

    Parameters
    ----------
    validate
        Measures the decoder's arrays after each epoch; `cider` chooses the best.
    """
    model.compile(
        optimizer=keras.optimizers.AdamW(
            schedule.learning_rate, weight_decay=0.01, global_clipnorm=1.0
        ),
        jit_compile=runtime().jit_compile(fuses=False),
    )
    one = np.zeros(1, np.intp)
    photo = batches.features.inputs(one, one, grid=batches.grid)
    model({**photo, "tokens": np.full((1, 2), START)})  # builds every variable

    def measure() -> Metrics:
        return {"reward": model.mean_reward(), **validate(model.arrays())}

    return fit(
        model, batches, schedule,
        validate=measure, metric="cider", folder=folder, resume=resume, progress=progress,
    )  # fmt: skip
