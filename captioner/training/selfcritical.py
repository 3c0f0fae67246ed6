"""Training decoders further on the metric: sentences that they say themselves, weighed by CIDEr-D.

Self-critical sequence training (Rennie et al., 2017) with the mean reward of a photo's other
sentences as the baseline (Luo, "A Better Variant of Self-Critical Sequence Training", 2020): a
sentence that does better than the photo's others becomes more probable, one that does worse less.
Left alone with the metric, a decoder forgets all words that are not worth their risk; so people's
captions keep a share of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from captioner.model import destination
from captioner.model.beam import sample
from captioner.model.bundle import Bundle
from captioner.model.decoders import merge
from captioner.model.vocabulary import END, PAD, SPECIAL_TOKENS, START, Vocabulary, words
from captioner.model.xception import FEATURES
from captioner.training.corpora import Example
from captioner.training.decoders import IntArray, smoothed_entropy
from captioner.training.fit import Metrics, Plan, Report, fit
from captioner.training.recipe import Made, listener, speak_anew
from captioner.training.reward import CiderD
from captioner.training.run import Arrays, Critical, Eye, Run
from captioner.types import Features, FloatArray, HalfArray

Reward = Callable[[IntArray, IntArray], FloatArray]
"""What sentences are worth: photos (N,) and what was said of each (N, k, T) → (N, k)."""

WORDS = 16
"""Of a sentence that is drawn or learnt; one that goes on longer misses its end."""
CAPTIONS = 2
"""People's, learnt with the sentences drawn of a photo."""


class SelfCritic(keras.Model):
    """A decoder that learns from sentences it draws itself, and from people's captions.

    `train_on_batch` takes a dictionary: `feature` (N, 2048), `photos` (N,), `captions`
    (N, CAPTIONS, T), and `draw`, the seed of what is drawn: so a resumed run is the same run.
    """

    def __init__(self, decoder: keras.Model, reward: Reward, critical: Critical) -> None:
        super().__init__(name="self_critic")
        self.decoder = decoder
        self._reward, self._critical = reward, critical
        self._earned: list[float] = []

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits, as the decoder's."""
        seen = {name: inputs[name] for name in ("feature", "tokens")}
        return self.decoder(seen, training=training)

    def train_on_batch(self, x: Any, y: Any = None, **options: Any) -> Any:
        """Draw sentences with the weights as they are, weigh them, and take one step."""
        feature, captions = x["feature"], x["captions"]
        mouth = merge.stepper(merge.arrays(self.decoder))
        random = np.random.default_rng(x["draw"])
        said = sample(
            mouth,
            Features(feature),
            samples=self._critical.samples,
            max_length=WORDS,
            inverse_temperature=self._critical.sharpness,
            random=random,
        )
        rewards = self._reward(x["photos"], said)
        self._earned.append(float(rewards.mean()))
        tokens = np.concatenate([one.reshape(-1, one.shape[2]) for one in (said, captions)])
        # Even lengths keep the number of traced graphs small.
        longest = int((tokens != PAD).sum(1).max())
        tokens = np.pad(tokens, ((0, 0), (0, 2)))[:, : longest + longest % 2]
        following = np.pad(tokens[:, 1:], ((0, 0), (0, 1)))
        owners = [np.repeat(np.arange(len(feature)), one.shape[1]) for one in (said, captions)]
        batch = {
            "feature": feature[np.concatenate(owners)],
            "tokens": tokens,
            "advantage": advantage(rewards).reshape(-1),
        }
        return super().train_on_batch(batch, following, **options)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        """Of the sentences drawn, which come first, the policy's; of captions, cross-entropy."""
        drawn = ops.shape(x["advantage"])[0]
        target, share = y[:drawn], self._critical.metric_share
        counts = ops.cast(target != PAD, "float32")
        logits = self._critical.sharpness * ops.cast(y_pred[:drawn], "float32")
        log_p = ops.log_softmax(logits, axis=-1)
        own = ops.take_along_axis(log_p, ops.expand_dims(target, -1), axis=-1)[..., 0]
        weighed = ops.sum(ops.expand_dims(x["advantage"], 1) * own * counts) / ops.sum(counts)
        entropy = ops.mean(smoothed_entropy(y[drawn:], y_pred[drawn:]))
        return (1 - share) * entropy - share * weighed

    def earned(self) -> float:
        """Mean reward of all that was drawn since this was last asked; 0 for nothing."""
        mean = float(np.mean(self._earned)) if self._earned else 0.0
        self._earned.clear()
        return mean


def advantage(rewards: FloatArray) -> FloatArray:
    """How much more each reward is than the mean of its row's others (N, k), of unit deviation."""
    others = (rewards.sum(1, keepdims=True) - rewards) / (rewards.shape[1] - 1)
    over = rewards - others
    return (over / (over.std() + 1e-6)).astype(np.float32)


class PhotoBatches:
    """Photos for `SelfCritic`, each with some of its captions: batches for `fit`.

    Parameters
    ----------
    features
        float16 (photos, views, 2048); each time a photo is met, one view is drawn.
    times
        How often each photo is met in an epoch.
    """

    def __init__(
        self,
        features: HalfArray,
        examples: Sequence[Example],
        vocabulary: Vocabulary,
        *,
        times: FloatArray,
        size: int = 64,
        seed: int,
    ) -> None:
        self.features, self.size, self.seed = features, size, seed
        self.tokens = [
            np.stack([vocabulary.encode(caption, WORDS + 2) for caption in example.captions])
            for example in examples
        ]
        self.rows = np.repeat(np.arange(len(examples)), np.maximum(1, np.rint(times).astype(int)))
        self.steps = -(-len(self.rows) // size)

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], None]:
        """Batch `step` of an order of all photos that the epoch fixes."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
        photos = order[step * self.size : (step + 1) * self.size]
        random = np.random.default_rng([self.seed, epoch, step])
        views = random.integers(self.features.shape[1], size=len(photos))
        captions = [
            self.tokens[photo][random.integers(len(self.tokens[photo]), size=CAPTIONS)]
            for photo in photos
        ]
        return {
            "feature": self.features[photos, views].astype(np.float32),
            "photos": photos,
            "captions": np.stack(captions),
            "draw": int(random.integers(2**31)),
        }, None


def worth(examples: Sequence[Example], made: Made, features: HalfArray, nearness: float) -> Reward:
    """CIDEr-D against a photo's captions, the end a word like others; and nearness, weighted."""
    references = [
        [[*words(caption), SPECIAL_TOKENS[END]] for caption in photo.captions] for photo in examples
    ]
    metric = CiderD(references)
    places = made.space.image(features[:, 0].astype(np.float32)) if nearness else None

    def reward(photos: IntArray, said: IntArray) -> FloatArray:
        spoken = [[made.vocabulary.decode(row) for row in rows] for rows in said.tolist()]
        ends = [
            [[SPECIAL_TOKENS[END]] if END in row else [] for row in rows] for rows in said.tolist()
        ]
        scores = np.array(
            [
                metric([words + end for words, end in zip(*one, strict=True)], references[photo])
                for photo, *one in zip(photos, spoken, ends, strict=True)
            ],
            np.float32,
        )
        if places is not None:
            vectors = made.space.text([one for some in spoken for one in some])
            vectors = vectors.reshape(*scores.shape, -1)
            scores += nearness * np.einsum("nkd,nd->nk", vectors, places[photos])
        return scores

    return reward


def train_further(run: Run, out: Path, source: Bundle, command: str) -> Bundle:
    """Train the decoders of a bundle on the metric, each in turn, and write a bundle with them.

    A decoder that gets no better on dev stays as it was. How sentences are chosen and trusted is
    fitted anew; all else is the source's.

    Parameters
    ----------
    run
        Its options say what is wanted as `critical`.
    out
        The bundle's folder: absent or empty, or an earlier bundle where the run is forced.
    command
        As typed, for the record.

    Raises
    ------
    CaptionerError
        Where the corpus has no photos to train on or none to measure on.
    """
    destination.check(out, force=run.force)
    run.begin()
    made = Made.of(source)
    eye = Eye.of(run, made.encoder)
    _speak_better(run, made, source, eye)
    return speak_anew(run, made, eye, source, out=out, way="self-critical", command=command)


def _speak_better(run: Run, made: Made, source: Bundle, eye: Eye) -> None:
    """Train the decoders."""
    options, critical = run.options, run.options.critical
    assert critical is not None
    # Captions in another manner would reward that manner.
    own = np.array([photo.path not in run.apart for photo in run.train])
    photos = [photo for photo, spoken in zip(run.train, own, strict=True) if spoken]
    features, times = eye.features(photos, 2), run.times[own]
    reward = worth(photos, made, features, critical.nearness)
    measure = listener(run, made, eye.features(run.dev))
    for number, (file, size) in enumerate(zip(source.decoders, made.sizes, strict=True), 1):
        part, seed = f"decoder-{number}", options.seed + number - 1
        before = source.arrays(file)
        start = measure(before)
        run.report(f"{part} as it is: " + ", ".join(f"{k} {v:.4g}" for k, v in start.items()))
        keras.utils.set_random_seed(seed)
        dropout = size.dropout if critical.dropout is None else critical.dropout
        learning = replace(size, dropout=dropout)
        decoder = merge.network(len(made.vocabulary), learning, FEATURES)
        merge.set_arrays(decoder, before)
        model = SelfCritic(decoder, reward, critical)
        batches = PhotoBatches(features, photos, made.vocabulary, times=times, seed=seed)
        history = fit_critic(
            model, batches, Plan(options.decoder_epochs, batches.steps, options.decoder_rate),
            measure=measure, folder=run.work / part, resume=options.resume, report=run.report,
        )  # fmt: skip
        run.show(history, part)
        better = max(one["cider"] for one in history) > start["cider"]
        if not better:
            run.report(f"{part} stays as it was: no pass made it better")
        made.decoders.append(merge.arrays(decoder) if better else before)
        made.record[part] = {"seed": seed, "start": start, "history": history, "kept": better}


def fit_critic(
    model: SelfCritic,
    batches: PhotoBatches,
    plan: Plan,
    *,
    measure: Callable[[Arrays], Metrics],
    folder: Path,
    resume: bool,
    report: Report,
) -> list[Metrics]:
    """Train a decoder on the metric; leave the weights of the best pass loaded.

    Parameters
    ----------
    measure
        What is measured each epoch with the decoder's arrays, `cider` among it.
    """
    model.compile(
        optimizer=keras.optimizers.AdamW(
            plan.learning_rate, weight_decay=0.01, global_clipnorm=1.0
        ),
        jit_compile=False,
    )
    feature = np.zeros((1, batches.features.shape[-1]), np.float32)
    model({"feature": feature, "tokens": np.full((1, 2), START)})  # builds every variable

    def validate() -> Metrics:
        return {"reward": model.earned(), **measure(merge.arrays(model.decoder))}

    return fit(
        model, batches, plan,
        validate=validate, metric="cider", folder=folder, resume=resume, report=report,
    )  # fmt: skip
