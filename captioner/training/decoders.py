"""Training of decoders by teacher forcing: cross-entropy of each word, given those before it."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from captioner.model import decoders
from captioner.model.backend import keras, ops, runtime
from captioner.model.vocabulary import OTHER_STYLE, PAD, UNKNOWN, Vocabulary, words
from captioner.training.corpora import Example
from captioner.training.features import CachedFeatures
from captioner.training.fit import Batch, Metrics, Schedule, fit
from captioner.training.progress import Progress
from captioner.training.scheduled import ScheduledSampling, scheduled
from captioner.types import FloatArray, HalfArray

IntArray = npt.NDArray[np.int32]
MAX_TOKENS = 40
"""Tokens of a training caption, start and end included; longer ones are cut."""
LABEL_SMOOTHING = 0.1


def smoothed_cross_entropy(target: Any, logits: Any) -> Any:
    """Cross-entropy with label smoothing (Szegedy et al. 2016), (N, T).

    Padding counts nothing, nor do words outside the vocabulary, which are inputs but never outputs.
    The rest is scaled so that the mean over all positions is the mean over those that count.
    """
    counts = ops.cast(ops.logical_and(target != PAD, target != UNKNOWN), "float32")
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    # Keras passes targets on as float32 on JAX and PyTorch.
    tokens = ops.cast(target, "int32")
    own = ops.take_along_axis(log_p, ops.expand_dims(tokens, -1), axis=-1)[..., 0]
    entropy = -(1 - LABEL_SMOOTHING) * own - LABEL_SMOOTHING * ops.mean(log_p, axis=-1)
    return entropy * counts / (ops.mean(counts) + 1e-9)


class SentenceBatches:
    """Captions with their photos' features, in batches of similar length, for `fit`.

    Bucketing by length saves computing on padding.

    Parameters
    ----------
    features
        Of the photos; pooled ones may be given as an array, float16 (photos, views, D). Each use of
        a caption takes a random view.
    grid
        Whether the batches have feature maps (`grid`) instead of pooled features (`feature`).
    sample_weights
        float32 (photos,): how often an epoch uses each photo's captions, 0.5 or 2 say; None: once.
    other_style
        Paths of photos whose captions are in another style. They begin with OTHER_STYLE instead of
        START: the decoder learns two styles.
    """

    def __init__(
        self,
        features: HalfArray | CachedFeatures,
        examples: Sequence[Example],
        vocabulary: Vocabulary,
        *,
        grid: bool = False,
        sample_weights: FloatArray | None = None,
        other_style: Container[Path] = (),
        size: int = 128,
        seed: int,
    ) -> None:
        self.features, self.grid = CachedFeatures.of(features), grid
        self.size, self.seed = size, seed
        repeats = (
            [1] * len(examples) if sample_weights is None else _repeats(sample_weights).tolist()
        )
        sentences = [
            (row, caption)
            for row, example in enumerate(examples)
            for caption in example.captions * repeats[row]
        ]
        self.owner = np.array([row for row, _ in sentences])
        self.tokens = np.stack([vocabulary.encode(caption, MAX_TOKENS) for _, caption in sentences])
        other = np.array([example.path in other_style for example in examples], bool)
        self.tokens[other[self.owner], 0] = OTHER_STYLE
        length = (self.tokens != PAD).sum(1)
        # Even lengths keep the number of traced graphs small.
        padded = np.minimum(length + length % 2, MAX_TOKENS)
        padded = np.clip(padded, 8, 26)
        padded[length > 26] = MAX_TOKENS
        self.groups = [(int(width), np.flatnonzero(padded == width)) for width in np.unique(padded)]
        self.steps = sum(-(-len(rows) // size) for _, rows in self.groups)
        self._kept: tuple[int, list[tuple[int, npt.NDArray[np.intp]]]] = (-1, [])

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], IntArray]:
        """Batch `step` of a shuffle of all captions that depends on the epoch alone."""
        width, rows = self._shuffled(epoch)[step]
        random = np.random.default_rng([self.seed, epoch, step])
        views = random.integers(self.features.views, size=len(rows))
        tokens = self.tokens[rows, :width]
        photos = self.features.inputs(self.owner[rows], views, grid=self.grid)
        following = np.concatenate([tokens[:, 1:], np.full((len(rows), 1), PAD, np.int32)], axis=1)
        return {**photos, "tokens": tokens}, following

    def _shuffled(self, epoch: int) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """The batches of an epoch: the width of each, and its captions.

        Kept for the next step: to shuffle all captions for each batch would take a time that grows
        with the square of their number.
        """
        kept, batches = self._kept
        if kept != epoch:
            random = np.random.default_rng([self.seed, epoch])
            batches = []
            for width, rows in self.groups:
                shuffled = random.permutation(rows)
                batches += [
                    (width, part)
                    for part in np.split(shuffled, range(self.size, len(shuffled), self.size))
                ]
            batches = [batches[number] for number in random.permutation(len(batches))]
            self._kept = epoch, batches  # in one step: several threads ask for batches
        return batches


def _repeats(sample_weights: FloatArray) -> IntArray:
    """Whole numbers (N,) with the mean of the weights: of photos with 1.5, every other has 2."""
    offsets = np.arange(len(sample_weights)) * (np.sqrt(5) - 1) / 2 % 1  # evenly spread
    return np.floor(sample_weights + offsets).astype(np.int32)


def language_batches(
    sentences: Sequence[str],
    vocabulary: Vocabulary,
    seed: int,
    features: CachedFeatures,
    *,
    grid: bool,
) -> SentenceBatches:
    """Batches of captions that share the features of one photo, which shows nothing."""
    example = Example(Path(), tuple(sentences), "train")
    return SentenceBatches(features, [example], vocabulary, grid=grid, seed=seed)


def fit_decoder(
    batches: SentenceBatches,
    vocabulary: Vocabulary,
    kind: str,
    sizes: Any,
    schedule: Schedule,
    *,
    dev: SentenceBatches,
    measure: Callable[[dict[str, FloatArray]], Metrics],
    metric: str = "cider",
    start: dict[str, FloatArray] | None = None,
    scheduled_sampling: float = 0.0,
    seed: int,
    folder: Path,
    resume: bool,
    progress: Progress,
) -> tuple[dict[str, FloatArray], list[Metrics]]:
    """Train one decoder.

    Parameters
    ----------
    dev
        Captions held out: their negated loss, `likelihood`, is measured each epoch.
    measure
        Further figures to measure each epoch, from the decoder's arrays.
    metric
        Which figure chooses the best epoch.
    start
        Initial weights, such as those of a decoder pre-trained on text alone.
    scheduled_sampling
        The probability at the end of the run that a word which the decoder is fed is its own; see
        `captioner.training.scheduled`.

    Returns
    -------
    The decoder's arrays as its stepper takes them, and the figures of each epoch.
    """
    keras.utils.set_random_seed(seed)
    decoder = decoders.get(kind)
    network = decoder.network(len(vocabulary), sizes, batches.features.size(grid=batches.grid))
    if start is not None:
        decoder.set_arrays(network, start)
    model, batch = network, cast(Callable[[int, int], Batch], batches)
    if scheduled_sampling:
        model = ScheduledSampling(decoder, network)
        model(batches(0, 0)[0])  # builds every variable
        batch = scheduled(batches, schedule, scheduled_sampling, seed)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            schedule.learning_rate, weight_decay=0.01, global_clipnorm=1.0
        ),
        loss=smoothed_cross_entropy,
        jit_compile=runtime().jit_compile(fuses=False),
    )

    def validate() -> Metrics:
        losses = [float(model.test_on_batch(*dev(0, step))) for step in range(dev.steps)]
        return {"likelihood": -float(np.mean(losses)), **measure(decoder.arrays(network))}

    history = fit(
        model, batch, schedule,
        validate=validate, metric=metric, folder=folder, resume=resume, progress=progress,
    )  # fmt: skip
    return decoder.arrays(network), history


def vocabulary_coverage(vocabulary: Vocabulary, captions: Sequence[str]) -> float:
    """Share of the words in captions that are in the vocabulary, 0 to 1."""
    used = [word for caption in captions for word in words(caption)]
    return sum(word in vocabulary for word in used) / max(1, len(used))
