"""CIDEr-D compared with the formula computed step by step, and with pycocoevalcap."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from captioner.training.reward import CiderD

END = "<end>"
PHOTOS = [
    ["a dog runs on the beach", "a brown dog runs", "the dog is running along the sandy beach"],
    ["a man rides a bike", "a man on a bike", "someone rides a red bike down the hill"],
    ["two dogs play in the snow", "dogs in the snow"],
    ["a man and a dog on a hill", "the man walks a dog", "a man is walking", "a a a dog"],
]
CAPTIONS = ["a dog runs on the beach", "a man rides a dog", "dogs dogs dogs dogs", "a zebra"]


def cut(sentence, end=END):
    return [*sentence.split(), end] if end else sentence.split()


def by_hand(caption, references, photos):
    """One score by the formula of the paper's section 7, step by step."""

    def grams(words, n):
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    def vector(words, n):
        out = {}
        for gram, count in grams(words, n).items():
            having = sum(any(gram in grams(r, n) for r in photo) for photo in photos)
            out[gram] = count * np.log(len(photos) / max(1, having))
        return out

    score = 0.0
    for n in (1, 2, 3, 4):
        for reference in references:
            a, b = vector(caption, n), vector(reference, n)
            sizes = [np.sqrt(sum(w * w for w in v.values())) for v in (a, b)]
            if all(sizes):
                shared = sum(min(w, b.get(gram, 0)) * b.get(gram, 0) for gram, w in a.items())
                far = (len(caption) - len(reference)) ** 2
                score += shared / np.prod(sizes) * np.exp(-far / (2 * 36)) / len(references) / 4
    return 10 * score


@pytest.mark.parametrize("end", [END, None])
def test_scores_follow_the_papers_formula(end):
    photos = [[cut(r, end) for r in references] for references in PHOTOS]
    metric = CiderD(photos)
    captions = [cut(sentence, end) for sentence in CAPTIONS]
    for references in photos:
        expected = [by_hand(words, references, photos) for words in captions]
        np.testing.assert_allclose(metric(captions, references), expected, atol=1e-9)
    assert metric(photos[2][:1], photos[2])[0] > max(metric(captions, photos[2]))


def test_scores_equal_those_of_pycocoevalcap():
    scorer = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    targets = {number: [" ".join(cut(r)) for r in some] for number, some in enumerate(PHOTOS)}
    captions = {number: [" ".join(cut(sentence))] for number, sentence in enumerate(CAPTIONS)}
    _, expected = scorer.compute_score(targets, captions)
    metric = CiderD([[cut(r) for r in references] for references in PHOTOS])
    ours = [
        metric([cut(sentence)], [cut(r) for r in references])[0]
        for sentence, references in zip(CAPTIONS, PHOTOS, strict=True)
    ]
    np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_a_caption_without_its_end_token_scores_less():
    photos = [[cut(r) for r in references] for references in PHOTOS]
    metric = CiderD(photos)
    whole, open_ended, cut_short = (
        cut("a man rides a bike"), cut("a man rides a bike", None), cut("a man rides a", None)
    )  # fmt: skip
    scores = metric([whole, open_ended, cut_short], photos[1])
    assert all(better > worse for better, worse in pairwise(scores))
