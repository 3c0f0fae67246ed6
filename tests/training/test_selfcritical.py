"""Self-critical training: captions with a higher reward become more probable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.model import decoders
from captioner.model.beam import sample
from captioner.model.decoders import merge
from captioner.model.vocabulary import END, OTHER_STYLE, PAD, START, Vocabulary
from captioner.training.config import SelfCriticalConfig
from captioner.training.corpora import Example
from captioner.training.features import CachedFeatures
from captioner.training.fit import Schedule
from captioner.training.progress import Silent
from captioner.types import Features

pytestmark = pytest.mark.training

keras = pytest.importorskip("keras")

from captioner.training.selfcritical import (  # noqa: E402
    PhotoBatches,
    SelfCriticalModel,
    advantages,
    fit_self_critical,
    make_reward,
)
from captioner.training.stages.parts import BundleParts  # noqa: E402

CAPTIONS = [("a dog runs", "a brown dog in the snow"), ("a man sits", "an old man"), ("snow",)]
VOCABULARY = Vocabulary.from_captions([c for some in CAPTIONS for c in some], minimum=1)
EXAMPLES = [Example(Path(f"{n}.jpg"), some, "train") for n, some in enumerate(CAPTIONS)]
FEATURES = np.random.default_rng(1).random((3, 2, 2048)).astype(np.float16)
WANTED = VOCABULARY.encode("dog", 3)[1]


def likes_dogs(photos, samples):
    """A reward: 1 for each caption with the word "dog"."""
    return (samples == WANTED).any(2).astype(np.float32)


def self_critical(reward=likes_dogs, **options):
    keras.utils.set_random_seed(3)
    sizes = merge.Sizes(embedding=24, lstm=32, fusion=24, dropout=0.1)
    decoder = merge.network(len(VOCABULARY), sizes, 2048)
    return SelfCriticalModel(merge, decoder, reward, SelfCriticalConfig(samples=8, **options))


def train(model, folder, *, epochs=6, rate=0.01, resume=False, measure=None):
    batches = PhotoBatches(
        FEATURES,
        EXAMPLES,
        VOCABULARY,
        sample_weights=np.array([6, 6, 4], np.float32),
        size=4,
        seed=0,
    )
    assert batches.steps == 4
    counted = iter(range(1000))  # each pass counts as better: the last one's weights are kept
    return fit_self_critical(
        model, batches, Schedule(epochs, batches.steps, rate),
        validate=measure or (lambda arrays: {"cider": float(next(counted))}),
        folder=folder, resume=resume, progress=Silent(),
    )  # fmt: skip


def samples_of(model):
    stepper = merge.stepper(merge.arrays(model.decoder))
    features = Features(FEATURES[:, 0].astype(np.float32))
    random = np.random.default_rng(0)
    return sample(stepper, features, samples=200, inverse_temperature=2, random=random)


def test_rewarded_captions_become_more_frequent(tmp_path):
    model = self_critical(rl_weight=1.0)
    before = likes_dogs(None, samples_of(model)).mean()
    history = train(model, tmp_path)
    after = likes_dogs(None, samples_of(model)).mean()
    assert after > 0.9 > before + 0.2
    assert history[-1]["reward"] > history[0]["reward"]


TINY = {
    "init-inject": {"embedding": 24, "lstm": 32, "projection": 24},
    "pre-inject": {"embedding": 24, "lstm": 32, "projection": 24},
    "par-inject": {"embedding": 24, "lstm": 32, "projection": 24, "image": 8},
    "soft-attention": {"embedding": 24, "lstm": 32, "attention": 8},
}


def test_all_other_kinds_are_tried():
    assert {"merge", *TINY} == set(decoders.kinds()) - {"bigram"}


@pytest.mark.parametrize("kind", TINY)
def test_every_kind_learns_what_is_rewarded(kind, tmp_path):
    keras.utils.set_random_seed(3)
    decoder, grid = decoders.get(kind), decoders.needs_grid(kind)
    features = CachedFeatures(
        np.random.default_rng(1).random((3, 2, 12)).astype(np.float16),
        np.random.default_rng(2).random((3, 2, 2, 2, 6)).astype(np.float16),
    )
    network = decoder.network(
        len(VOCABULARY), decoder.Sizes(**TINY[kind], dropout=0.1), features.size(grid=grid)
    )
    config = SelfCriticalConfig(samples=8, rl_weight=1.0)
    model = SelfCriticalModel(decoder, network, likes_dogs, config)
    weights = np.array([6, 6, 4], np.float32)
    batches = PhotoBatches(
        features, EXAMPLES, VOCABULARY, sample_weights=weights, grid=grid, size=8, seed=0
    )
    counted = iter(range(100))
    history = fit_self_critical(
        model, batches, Schedule(8, batches.steps, 0.01),
        validate=lambda arrays: {"cider": float(next(counted))},
        folder=tmp_path, resume=False, progress=Silent(),
    )  # fmt: skip
    assert history[-1]["reward"] > history[0]["reward"] + 0.2


def test_equal_rewards_change_nothing_and_references_keep_their_share_of_the_loss(tmp_path):
    captions = [VOCABULARY.encode(c, 8) for some in CAPTIONS for c in some]
    owner = np.repeat(np.arange(3), [len(some) for some in CAPTIONS])

    def likelihood(model):
        seen = {"feature": FEATURES[owner, 0].astype(np.float32), "tokens": np.stack(captions)}
        p = keras.ops.convert_to_numpy(keras.ops.softmax(model.decoder(seen)))
        own = np.take_along_axis(p[:, :-1], seen["tokens"][:, 1:, None], axis=2)[..., 0]
        return np.log(own[seen["tokens"][:, 1:] != PAD]).mean()

    def indifferent(photos, samples):
        return np.full(samples.shape[:2], 0.5, np.float32)

    only_metric, mixed = self_critical(indifferent, rl_weight=1.0), self_critical(indifferent)
    first = likelihood(mixed)
    train(only_metric, tmp_path / "metric", rate=1e-4)
    assert likelihood(only_metric) == pytest.approx(first, abs=1e-3)
    train(mixed, tmp_path / "mixed")
    assert likelihood(mixed) > first + 0.5


def test_the_baseline_is_the_mean_of_the_photos_other_samples():
    rewards = np.array([[1, 0, 0], [5, 5, 5], [0, 2, 4]], np.float32)
    weights = advantages(rewards)
    by_hand = np.array([[1, -0.5, -0.5], [0, 0, 0], [-3, 0, 3]])
    np.testing.assert_allclose(weights, by_hand / by_hand.std(), rtol=1e-5)
    assert (advantages(np.ones((2, 4), np.float32)) == 0).all()


def test_a_resumed_run_is_the_same_run(tmp_path):
    whole, stopped, resumed = self_critical(), self_critical(), self_critical()
    train(whole, tmp_path / "whole", epochs=2)

    def interrupts(arrays):
        interrupts.calls += 1
        if interrupts.calls == 2:
            raise KeyboardInterrupt
        return {"cider": 1.0}

    interrupts.calls = 0
    with pytest.raises(KeyboardInterrupt):
        train(stopped, tmp_path / "parts", epochs=2, measure=interrupts)
    resumed.decoder.set_weights([np.zeros_like(w) for w in resumed.decoder.get_weights()])
    rest = iter([2.0])
    train(
        resumed, tmp_path / "parts", epochs=2, resume=True,
        measure=lambda arrays: {"cider": next(rest)},
    )  # fmt: skip
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_captions_of_another_style_begin_with_its_token(tmp_path):
    batches = PhotoBatches(
        FEATURES,
        EXAMPLES,
        VOCABULARY,
        sample_weights=np.ones(3, np.float32),
        other_style={EXAMPLES[1].path},
        size=3,
        seed=0,
    )
    x, _ = batches(0, 0)
    for photo, captions in zip(x["photos"], x["captions"], strict=True):
        assert (captions[:, 0] == (OTHER_STYLE if photo == 1 else START)).all()
    begun = []

    def reward(photos, samples):
        begun.extend(samples[:, :, 0].tolist())
        return likes_dogs(photos, samples)

    model = self_critical(reward)
    model.compile(optimizer="adam", jit_compile=False)
    model({"feature": x["feature"], "tokens": x["captions"][:, 0]})
    model.train_on_batch(x)
    assert begun == [[OTHER_STYLE if photo == 1 else START] * 8 for photo in x["photos"]]


def test_the_reward_counts_phrases_within_their_style():
    texts = ("a dog runs fast", "a man sits down", "a dog sits down", "the dog runs fast")
    examples = [Example(Path(f"{n}.jpg"), (text,), "train") for n, text in enumerate(texts)]
    vocabulary = Vocabulary.from_captions(texts, minimum=1)
    parts = BundleParts(vocabulary, Heads())
    sample = np.stack([vocabulary.encode("a dog runs down", 6), vocabulary.encode("a man", 6)])

    def rewards(photos, other_style=()):
        return make_reward(photos, parts, FEATURES, 0.0, other_style)(np.array([0]), sample[None])

    apart = rewards(examples, {examples[2].path, examples[3].path})
    np.testing.assert_allclose(apart, rewards(examples[:2]))
    assert not np.allclose(apart, rewards(examples))


class Heads:
    joint_space = None


def test_batches_use_each_photo_by_its_sample_weight():
    batches = PhotoBatches(
        FEATURES,
        EXAMPLES,
        VOCABULARY,
        sample_weights=np.array([1, 2, 0.2], np.float32),
        size=3,
        seed=0,
    )
    met = []
    for step in range(batches.steps):
        x, _ = batches(1, step)
        again, _ = batches(1, step)
        for name, value in x.items():
            np.testing.assert_array_equal(value, again[name])
        met += x["photos"].tolist()
        for photo, captions in zip(x["photos"], x["captions"], strict=True):
            assert {" ".join(VOCABULARY.decode(row)) for row in captions} <= set(CAPTIONS[photo])
            assert (captions[:, 0] == START).all() and (captions == END).any(1).all()
    assert sorted(met) == [0, 1, 1, 2]
