"""Scheduled sampling: words of the decoder's own in place of the caption's, more and more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.model.vocabulary import END, PAD, START, UNKNOWN, Vocabulary
from captioner.training.corpora import Example
from captioner.training.progress import Silent
from captioner.types import Features

pytestmark = pytest.mark.training

pytest.importorskip("keras")

from captioner.model.decoders import merge  # noqa: E402
from captioner.training.decoders import SentenceBatches, fit_decoder  # noqa: E402
from captioner.training.fit import Schedule  # noqa: E402
from captioner.training.scheduled import scheduled, with_own_words  # noqa: E402

V = 12
TOKENS = np.array(
    [[START, 5, 6, 7, END, PAD], [START, UNKNOWN, 8, END, PAD, PAD], [START, 9, 9, 9, 9, 9]],
    np.int32,
)


class Counting:
    """Says the last token plus one; after tokens that are no words, 4 or the photo's number."""

    vocabulary_size = V

    def start(self, features: Features, shortlist: None = None) -> Any:
        return features.pooled[:, 0], np.zeros(len(features), int)

    def step(self, photos: Any, rows: Any, states: Any, tokens: Any) -> Any:
        p = np.full((len(rows), V), 1e-9, np.float32)
        following = np.where(tokens > UNKNOWN, tokens + 1, photos[rows].astype(int))
        p[np.arange(len(rows)), np.minimum(following, V - 1)] = 1
        p[:, END] = 5  # never taken: the end stays where the caption has it
        return p, states


def own(probability: float, seed: int = 0) -> Any:
    features = Features(np.array([[4], [6], [7]], np.float32))
    random = np.random.default_rng(seed)
    return with_own_words(Counting(), features, TOKENS, probability, random)


def test_at_one_the_decoder_goes_on_from_its_own_words() -> None:
    np.testing.assert_array_equal(own(0), TOKENS)
    np.testing.assert_array_equal(
        own(1),
        [
            [START, 4, 5, 6, END, PAD],
            [START, UNKNOWN, 6, END, PAD, PAD],
            [START, 7, 8, 9, 10, 11],
        ],
    )


def test_in_between_a_share_is_replaced_and_what_follows_depends_on_it() -> None:
    mixed = [own(0.3, seed) for seed in range(400)]
    assert np.mean([each[0, 1] == 4 for each in mixed]) == pytest.approx(0.3, abs=0.08)
    for each in mixed:
        for before, word, caption in zip(each[2], each[2, 1:], TOKENS[2, 1:], strict=False):
            assert word in (caption, min(before + 1, V - 1) if before > UNKNOWN else 7)
    assert len({tuple(each[2]) for each in mixed}) > 10
    np.testing.assert_array_equal(TOKENS[2, 1:], 9)  # the captions themselves are left alone


def test_the_probability_grows_over_the_run() -> None:
    batches = scheduled(lambda epoch, step: ({"tokens": 1}, None), Schedule(4, 10, 0.1), 0.5, 3)
    assert [batches(e, s)[0]["probability"] for e, s in ((0, 0), (2, 0), (3, 5))] == [
        0, 0.25, pytest.approx(0.4375)
    ]  # fmt: skip
    assert batches(1, 2)[0]["seed"] == [3, 1, 2]
    assert batches(1, 2)[0]["tokens"] == 1


def test_training_with_it_is_repeatable_and_learns(tmp_path: Path) -> None:
    captions = ["a dog runs", "two girls play football", "one red boat"]
    examples = [Example(Path(f"{n}.jpg"), (text,), "train") for n, text in enumerate(captions)]
    features = np.eye(3, 20, dtype=np.float16)[:, None]
    vocabulary = Vocabulary.from_captions(captions, minimum=1)
    batches = SentenceBatches(features, examples, vocabulary, seed=0)

    def trained(name: str, probability: float) -> Any:
        return fit_decoder(
            batches, vocabulary, "merge",
            merge.Sizes(embedding=16, lstm=24, fusion=16, dropout=0.0),
            Schedule(12, batches.steps, 0.02),
            dev=batches, measure=lambda arrays: {}, metric="likelihood",
            scheduled_sampling=probability, seed=1,
            folder=tmp_path / name, resume=False, progress=Silent(),
        )  # fmt: skip

    once, twice, without = trained("once", 0.8), trained("twice", 0.8), trained("without", 0)
    for name, array in once[0].items():
        np.testing.assert_array_equal(array, twice[0][name])
    assert np.abs(once[0]["embedding"] - without[0]["embedding"]).max() > 1e-3
    assert once[1][-1]["likelihood"] > once[1][0]["likelihood"]
    # Guesses in the place of words make the next word harder to predict.
    assert once[1][-1]["loss"] > without[1][-1]["loss"]
