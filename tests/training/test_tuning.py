"""What is chosen on dev: weights that are chosen because they are better, and calibrated scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.model.rerank import Candidate, rerank
from captioner.training.corpora import Example
from captioner.training.tuning import (
    NEGLIGIBLE,
    calibrate,
    choose_rerank,
    fits,
    reliability,
    short_queries,
    trusted,
)


def test_rerank_weights_are_those_that_find_the_true_sentences():
    examples, found = [], []
    for number, thing in enumerate(["dog", "boat", "tree", "car", "horse", "bird"]):
        text = f"a {thing} stands near the old {thing} house"
        examples.append(Example(Path(f"{number}.jpg"), (text,) * 5, "dev"))
        bland = Candidate(("a", "man", "in", "a", "shirt"), -2.0, 0.1, 0.0, 0.5, -0.1)
        true = Candidate(tuple(text.split()), -9.0, 0.3, 8.0, 0.5, -0.1)
        silly = Candidate(("house", "house"), -12.0, 0.8, -9.0, 0.5, -0.1)
        found.append([bland, true, silly])
    chosen, scores = choose_rerank(found, examples)
    assert all(rerank(some, **chosen)[0].words == some[1].words for some in found)
    assert max(scores.values()) > scores["0.7 0 0"]
    best = max(scores.values())
    assert scores["0.7 10 0"] < best  # the joint space alone falls for what is silly
    near = [key for key, score in scores.items() if score >= best - NEGLIGIBLE]
    assert chosen["length_penalty"] == min(float(key.split()[0]) for key in near)


def test_calibration_gives_back_the_probability_that_made_the_data():
    random = np.random.default_rng(0)
    evidence = random.uniform(-0.2, 0.8, (40_000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(9 * evidence[:, 0] + 4 * evidence[:, 1] - 3)))
    right = (random.random(40_000) < chance).astype(np.float32)
    weight = np.where(evidence[:, 0] > 0.3, 1, 0.25).astype(np.float32)
    assert calibrate(evidence, right, weight) == pytest.approx([9, 4, -3], rel=0.06)


def test_reliability_counts_every_sentence_once():
    score = np.array([0.02, 0.04, 0.55, 0.58, 0.51, 1.0], np.float32)
    right = np.array([0, 0, 1, 1, 0, 1], np.float32)
    assert reliability(score, right) == [
        {"sentences": 2, "score": 0.03, "right": 0},
        {"sentences": 3, "score": pytest.approx(0.547, abs=0.001), "right": 0.667},
        {"sentences": 1, "score": 1, "right": 1},
    ]


def test_sentences_are_shown_from_the_score_on_that_keeps_most_of_them_right():
    score = np.array([0.1, 0.2, 0.3, 0.41, 0.6, 0.8], np.float32)
    right = np.array([0, 0, 0, 1, 0, 1], np.float32)
    assert trusted(score, right, misfits=0.7) == 0
    assert trusted(score, right, misfits=0.6) == 0.15
    assert trusted(score, right, misfits=0.4) == 0.35
    assert trusted(score, right, misfits=0.1) == 0.65
    assert trusted(score, np.zeros(6, np.float32), misfits=0.4) == 0.85


def test_a_sentence_fits_where_people_use_most_of_its_telling_words():
    heard = ("Two dogs play on the beach.", "A brown dog and a ball", "puppies")
    assert fits("a brown dog plays".split(), heard)
    assert fits("a dog with a ball on snow".split(), heard)
    assert not fits("a brown man surfs".split(), heard)
    assert not fits("it is".split(), heard)


def test_short_queries_name_what_two_captions_agree_on():
    captions = {
        "both": ("a dog runs", "dogs running fast", "an animal"),
        "one": ("a dog runs", "a cat sleeps", "nothing"),
    }
    examples = [
        Example(Path(f"{kind}{n}.jpg"), captions[kind], "dev")
        for n in range(6)
        for kind in captions
    ]
    queries = short_queries(examples, 5, seed=0)
    assert [sorted(q.text.split()) for q in queries] == [["dog", "runs"]]
    assert queries[0].relevant == {f"both{n}.jpg" for n in range(6)}
