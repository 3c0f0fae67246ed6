"""What is chosen on dev: weights that are chosen because they are better, and calibrated scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.model.rerank import Candidate
from captioner.training.corpora import Example
from captioner.training.tuning import best, calibrate, choose_rerank, short_queries


def test_rerank_weights_are_those_that_find_the_true_sentences():
    examples, found = [], []
    for number, thing in enumerate(["dog", "boat", "tree", "car", "horse", "bird"]):
        text = f"a {thing} stands near the old {thing} house"
        examples.append(Example(Path(f"{number}.jpg"), (text,) * 5, "dev"))
        bland = Candidate(("a", "man", "in", "a", "shirt"), -2.0, -1.0, 0.1, 0.0)
        true = Candidate(tuple(text.split()), -9.0, -2.0, 0.3, 8.0)
        silly = Candidate(("house", "house"), -40.0, -5.0, 0.8, -9.0)
        found.append([bland, true, silly])
    chosen, scores = choose_rerank(found, examples)
    assert {c.words[:2] for c in best(found, **chosen)} == {c.words[:2] for _, c, _ in found}
    assert scores[f"{chosen['joint']:g} {chosen['support']:g}"] > scores["0 0"]
    assert scores["8 0"] < max(scores.values())  # the joint space alone falls for what is silly


def test_calibration_gives_back_the_probability_that_made_the_data():
    random = np.random.default_rng(0)
    cosine = random.uniform(-0.2, 0.8, 40_000).astype(np.float32)
    fits = random.random(40_000) < 1 / (1 + np.exp(-(9 * cosine - 3)))
    own, others = cosine[fits], cosine[~fits]
    found = calibrate(own, others)
    # Either side weighs half, whatever its number: the offset takes the odds in.
    assert found["slope"] == pytest.approx(9, rel=0.05)
    assert found["offset"] == pytest.approx(-3 - np.log(len(own) / len(others)), abs=0.15)


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
