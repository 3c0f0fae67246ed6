"""Teaching a merge decoder to say what people said, word by word."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from captioner.model.decoders import merge
from captioner.model.decoders.merge import Sizes
from captioner.model.vocabulary import PAD, UNKNOWN, Vocabulary, words
from captioner.training.corpora import Example
from captioner.training.fit import Metrics, Plan, Report, fit
from captioner.types import FloatArray, HalfArray

IntArray = npt.NDArray[np.int32]
LONGEST = 40
"""Tokens of a training sentence, marks included; longer ones lose their tail."""
SMOOTHING = 0.1


PRESETS = {
    "base": Sizes(),
    # The sizes of the "Image Caption Generator with CNN & LSTM" that captioner grew from.
    "classic": Sizes(embedding=256, lstm=256, fusion=256, tied=False),
}


def smoothed_entropy(target: Any, logits: Any) -> Any:
    """Cross-entropy with label smoothing (N, T); its mean is the mean over words that count.

    Padding does not count, nor do words outside the vocabulary: the decoder reads them and never
    learns to say them.
    """
    counts = ops.cast(ops.logical_and(target != PAD, target != UNKNOWN), "float32")
    log_p = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    own = ops.take_along_axis(log_p, ops.expand_dims(target, -1), axis=-1)[..., 0]
    entropy = -(1 - SMOOTHING) * own - SMOOTHING * ops.mean(log_p, axis=-1)
    return entropy * counts / (ops.mean(counts) + 1e-9)


class SentenceBatches:
    """Captions with their photos' features, batches of one length each, for `fit`.

    Sentences of like length go together, so that little padding is computed.

    Parameters
    ----------
    features
        float16 (photos, views, 2048); each time a sentence is met, one view is drawn.
    times
        How often each photo's sentences are met in an epoch; once if not given.
    apart
        Paths of photos whose sentences are in another manner of speech. They begin as if someone
        unknown spoke: what they say of photos is learnt, and how they say it stays theirs.
    """

    def __init__(
        self,
        features: HalfArray,
        examples: Sequence[Example],
        vocabulary: Vocabulary,
        *,
        times: FloatArray | None = None,
        apart: Container[Path] = (),
        size: int = 128,
        seed: int,
    ) -> None:
        self.features, self.size, self.seed = features, size, seed
        often = [1] * len(examples) if times is None else np.rint(times).astype(int).tolist()
        sentences = [
            (row, caption)
            for row, example in enumerate(examples)
            for caption in example.captions * often[row]
        ]
        self.owner = np.array([row for row, _ in sentences])
        self.tokens = np.stack([vocabulary.encode(caption, LONGEST) for _, caption in sentences])
        strange = np.array([example.path in apart for example in examples], bool)
        self.tokens[strange[self.owner], 0] = UNKNOWN
        length = (self.tokens != PAD).sum(1)
        # Even lengths keep the number of traced graphs small.
        padded = np.minimum(length + length % 2, LONGEST)
        padded = np.clip(padded, 8, 26)
        padded[length > 26] = LONGEST
        self.groups = [(int(width), np.flatnonzero(padded == width)) for width in np.unique(padded)]
        self.steps = sum(-(-len(rows) // size) for _, rows in self.groups)

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], IntArray]:
        """Batch `step` of an order of all sentences that the epoch fixes."""
        random = np.random.default_rng([self.seed, epoch])
        batches = []
        for width, rows in self.groups:
            mixed = random.permutation(rows)
            batches += [
                (width, part) for part in np.split(mixed, range(self.size, len(mixed), self.size))
            ]
        width, rows = batches[random.permutation(len(batches))[step]]
        views = random.integers(self.features.shape[1], size=len(rows))
        tokens = self.tokens[rows, :width]
        feature = self.features[self.owner[rows], views].astype(np.float32)
        following = np.concatenate([tokens[:, 1:], np.full((len(rows), 1), PAD, np.int32)], axis=1)
        return {"feature": feature, "tokens": tokens}, following


def language_batches(
    sentences: Sequence[str], vocabulary: Vocabulary, seed: int, feature_size: int
) -> SentenceBatches:
    """Sentences without photos: the feature of all of them is zero."""
    nothing = np.zeros((1, 1, feature_size), np.float16)
    example = Example(Path(), tuple(sentences), "train")
    return SentenceBatches(nothing, [example], vocabulary, seed=seed)


def fit_decoder(
    batches: SentenceBatches,
    vocabulary: Vocabulary,
    sizes: Sizes,
    plan: Plan,
    *,
    dev: SentenceBatches,
    measure: Callable[[dict[str, FloatArray]], Metrics],
    metric: str = "cider",
    start: dict[str, FloatArray] | None = None,
    seed: int,
    folder: Path,
    resume: bool,
    report: Report,
) -> tuple[dict[str, FloatArray], list[Metrics]]:
    """Train one decoder; its arrays as its stepper takes them, and its curve.

    Parameters
    ----------
    dev
        Sentences that are held out: their loss is measured each epoch, as `likelihood`, negated.
    measure
        What else is measured each epoch with a decoder's arrays.
    metric
        Which figure chooses the best epoch.
    start
        Arrays to begin with, such as those of a decoder that knows the language.
    """
    keras.utils.set_random_seed(seed)
    model = merge.network(len(vocabulary), sizes, FEATURES)
    if start is not None:
        merge.set_arrays(model, start)
    model.compile(
        optimizer=keras.optimizers.AdamW(
            plan.learning_rate, weight_decay=0.01, global_clipnorm=1.0
        ),
        loss=smoothed_entropy,
        jit_compile=False,
    )

    def validate() -> Metrics:
        losses = [float(model.test_on_batch(*dev(0, step))) for step in range(dev.steps)]
        return {"likelihood": -float(np.mean(losses)), **measure(merge.arrays(model))}

    history = fit(
        model, batches, plan,
        validate=validate, metric=metric, folder=folder, resume=resume, report=report,
    )  # fmt: skip
    return merge.arrays(model), history


def coverage(vocabulary: Vocabulary, captions: Sequence[str]) -> float:
    """Share of the captions' words that the vocabulary knows."""
    spoken = [word for caption in captions for word in words(caption)]
    return sum(word in vocabulary for word in spoken) / max(1, len(spoken))
