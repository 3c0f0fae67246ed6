"""Choices on dev: reranking weights, confidence and its threshold, queries made from captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from captioner.model.rerank import Candidate, rerank
from captioner.training.corpora import Example
from captioner.training.tuning import (
    CIDER_TOLERANCE,
    choose_rerank,
    choose_threshold,
    first_above,
    fit_logistic,
    matches_references,
    reliability,
    short_queries,
)


def test_rerank_weights_are_those_that_rank_the_true_captions_first():
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
    assert scores["0.7 10 0"] < best  # the joint space alone prefers the silly caption
    near = [key for key, score in scores.items() if score >= best - CIDER_TOLERANCE]
    assert chosen["length_penalty"] == min(float(key.split()[0]) for key in near)


def test_logistic_regression_recovers_the_weights_that_made_the_data():
    random = np.random.default_rng(0)
    evidence = random.uniform(-0.2, 0.8, (40_000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(-(9 * evidence[:, 0] + 4 * evidence[:, 1] - 3)))
    right = (random.random(40_000) < chance).astype(np.float32)
    weight = np.where(evidence[:, 0] > 0.3, 1, 0.25).astype(np.float32)
    assert fit_logistic(evidence, right, weight) == pytest.approx([9, 4, -3], rel=0.06)


def test_reliability_counts_every_sentence_once():
    score = np.array([0.02, 0.04, 0.55, 0.58, 0.51, 1.0], np.float32)
    right = np.array([0, 0, 1, 1, 0, 1], np.float32)
    assert reliability(score, right) == [
        {"sentences": 2, "score": 0.03, "right": 0},
        {"sentences": 3, "score": pytest.approx(0.547, abs=0.001), "right": 0.667},
        {"sentences": 1, "score": 1, "right": 1},
    ]


def test_the_threshold_is_the_lowest_that_keeps_most_captions_right():
    score = np.array([0.1, 0.2, 0.3, 0.41, 0.6, 0.8], np.float32)
    right = np.array([0, 0, 0, 1, 0, 1], np.float32)
    score, right = score[:, None], right[:, None]
    assert choose_threshold(score, right, max_mismatch_share=0.7) == 0
    assert choose_threshold(score, right, max_mismatch_share=0.6) == 0.15
    assert choose_threshold(score, right, max_mismatch_share=0.4) == 0.35
    assert choose_threshold(score, right, max_mismatch_share=0.1) == 0.65
    assert choose_threshold(score, np.zeros_like(right), max_mismatch_share=0.4) == 0.85


def test_the_threshold_counts_the_first_candidate_above_it():
    score = np.array([[0.1, 0.6, 0.9], [0.2, 0.3, 0.3]], np.float32)
    assert first_above(score, 0.5).tolist() == [1, -1]
    assert first_above(score, 0.15).tolist() == [1, 0]
    right = np.array([[0, 1, 0], [0, 0, 1]], np.float32)
    assert choose_threshold(score, right, max_mismatch_share=0.5) == 0.15
    assert choose_threshold(score, right, max_mismatch_share=0.1) == 0.35


def test_a_caption_matches_if_the_references_use_most_of_its_content_words():
    references = ("Two dogs play on the beach.", "A brown dog and a ball", "puppies")
    assert matches_references("a brown dog plays".split(), references)
    assert matches_references("a dog with a ball on snow".split(), references)
    assert not matches_references("a brown man surfs".split(), references)
    assert not matches_references("it is".split(), references)


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
