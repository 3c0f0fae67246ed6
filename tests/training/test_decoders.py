"""Training decoders: the NumPy decoder then generates what was learnt."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from captioner.model.beam import search
from captioner.model.decoders import merge
from captioner.model.vocabulary import END, PAD, START, UNKNOWN, Vocabulary, words
from captioner.training.corpora import Example
from captioner.training.decoders import (
    SentenceBatches,
    fit_decoder,
    smoothed_cross_entropy,
    vocabulary_coverage,
)
from captioner.training.fit import Schedule
from captioner.training.progress import Silent
from captioner.types import Features

pytestmark = pytest.mark.training

CAPTIONS = [
    "A dog runs through the deep snow .",
    "Two girls are playing football",
    "A man's hat lies on the red t-shirt",
    "Nobody",
    "A dog runs through the water and a man is watching it from the shore of the lake",
]


@pytest.fixture(scope="module")
def corpus():
    examples = [Example(Path(f"{n}.jpg"), (text,), "train") for n, text in enumerate(CAPTIONS)]
    features = np.random.default_rng(1).random((5, 1, 2048)).astype(np.float16)
    return examples, features, Vocabulary.from_captions(CAPTIONS, minimum=1)


@pytest.mark.parametrize("tied", [True, False])
def test_five_captions_are_memorised(corpus, tmp_path, tied):
    examples, features, vocabulary = corpus
    batches = SentenceBatches(features, examples, vocabulary, seed=0)
    epochs = iter(range(1000))  # each epoch counts as better: the last one's weights are kept
    arrays, history = fit_decoder(
        batches, vocabulary, "merge",
        merge.Sizes(embedding=48, lstm=64, fusion=48, tied=tied, dropout=0.0),
        Schedule(200, batches.steps, 0.01),
        dev=batches, measure=lambda arrays: {"cider": float(next(epochs))}, seed=1,
        folder=tmp_path, resume=False, progress=Silent(),
    )  # fmt: skip
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert ("output.kernel" in arrays) is not tied
    pooled = features[:, 0].astype(np.float32)
    found = search(merge.stepper(arrays), Features(pooled), beam_width=1)
    generated = [vocabulary.decode(photo[0].tokens) for photo in found]
    assert generated == [words(caption) for caption in CAPTIONS]


def test_batches_contain_each_caption_once_an_epoch(corpus):
    examples, features, vocabulary = corpus
    batches = SentenceBatches(features, examples, vocabulary, size=2, seed=5)
    for epoch in range(2):
        seen = []
        for step in range(batches.steps):
            x, y = batches(epoch, step)
            assert x["tokens"].shape == y.shape
            assert (x["tokens"][:, 0] == START).all()
            assert ((y == END).sum(axis=1) == 1).all()
            np.testing.assert_array_equal(x["tokens"][:, 1:], y[:, :-1])
            seen += [" ".join(vocabulary.decode(row)) for row in y]
        assert sorted(seen) == sorted(" ".join(words(caption)) for caption in CAPTIONS)


def test_captions_in_another_style_begin_with_another_token(corpus):
    examples, features, vocabulary = corpus
    other_style = {examples[3].path}
    batches = SentenceBatches(features, examples, vocabulary, other_style=other_style, seed=5)
    for step in range(batches.steps):
        x, y = batches(0, step)
        other = [" ".join(vocabulary.decode(row)) == " ".join(words(CAPTIONS[3])) for row in y]
        np.testing.assert_array_equal(x["tokens"][:, 0], np.where(other, UNKNOWN, START))


def test_a_batch_is_a_function_of_epoch_and_step(corpus):
    examples, features, vocabulary = corpus
    first, second = (SentenceBatches(features, examples, vocabulary, size=2, seed=5) for _ in "12")
    for x, y in ((first(3, 1), second(3, 1)), (first(0, 0), second(0, 0))):
        np.testing.assert_array_equal(x[0]["tokens"], y[0]["tokens"])
        np.testing.assert_array_equal(x[0]["feature"], y[0]["feature"])


def test_padding_and_unknown_words_cost_nothing():
    target = np.array([[5, UNKNOWN, END, PAD], [5, 6, END, PAD]], np.int32)
    logits = np.random.default_rng(0).normal(size=(2, 4, 9)).astype(np.float32)

    def mean_loss(logits):
        return float(keras.ops.mean(smoothed_cross_entropy(target, logits)))

    before = mean_loss(logits)
    changed = logits.copy()
    changed[:, 3] += np.arange(9)
    changed[0, 1] -= np.arange(9)
    assert mean_loss(changed) == pytest.approx(before, rel=1e-6)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    places = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    by_hand = np.mean([-0.9 * log_p[p][target[p]] - 0.1 * log_p[p].mean() for p in places])
    assert before == pytest.approx(by_hand, rel=1e-5)


def test_coverage():
    vocabulary = Vocabulary.from_captions(["a dog"], minimum=1)
    assert vocabulary_coverage(vocabulary, ["A dog barks", "a"]) == pytest.approx(3 / 4)


def test_a_weight_below_one_uses_some_photos_captions() -> None:
    examples = [Example(Path(f"{at}.jpg"), ("a dog runs",), "train") for at in range(100)]
    vocabulary = Vocabulary.from_captions(["a dog runs"], minimum=1)

    def captions(weight: float) -> int:
        weights = np.full(len(examples), weight, np.float32)
        features = np.zeros((len(examples), 1, 8), np.float16)
        return len(
            SentenceBatches(features, examples, vocabulary, sample_weights=weights, seed=1).owner
        )

    assert [captions(weight) for weight in (1, 2, 3)] == [100, 200, 300]
    assert captions(0.5) == pytest.approx(50, abs=3)
    assert captions(1.25) == pytest.approx(125, abs=3)
