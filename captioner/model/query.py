"""The query side of search: a few words against many photos, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from captioner.model.bundle import JOINT, LEXICON, WORDS, Bundle
from captioner.model.heads import JointSpace, WordHead, log_probability
from captioner.model.vocabulary import words
from captioner.places import bundle_folder
from captioner.types import FloatArray, Look, Rank, SearchVectors


def load_rank(bundle: Path | None = None) -> tuple[str, Rank]:
    """The model's id and its ranking function; reads a few MiB and no engine."""
    opened = Bundle.open(bundle_folder(bundle))
    lexicon = opened.json(LEXICON)
    head = WordHead(opened.arrays(WORDS), lexicon["stems"], lexicon["surfaces"])
    space = JointSpace(opened.arrays(JOINT), lexicon["words"])
    return opened.model_id, ranking(head, space, opened.manifest["search"])


def ranking(head: WordHead, space: JointSpace, settings: Mapping[str, float]) -> Rank:
    """Word head and joint space fused: each standardised over the photos, then weighted.

    Short queries name things, and the word head knows things best; a whole sentence is better
    placed in the joint space. So the joint space's share grows with the number of words, from
    `joint_short` at two words and fewer to `joint_long` at eight and more; both chosen on dev.
    """

    def rank(query: str) -> Look | None:
        asked = words(query)
        place = space.text([asked]).T
        if not place.any():
            place = place[:, :0]
        kernel, bias = head.stems(asked)
        length = float(np.clip((len(asked) - 2) / 6, 0, 1))
        share = settings["joint_short"] * (1 - length) + settings["joint_long"] * length
        shares = [share] * place.shape[1] + [1 - share] * (len(bias) > 0)
        if not shares:
            return None
        if len(shares) == 1:
            shares = [1]  # a measure that has no other beside it counts in full

        def evidence(cosine: FloatArray, logits: FloatArray) -> FloatArray:
            if not len(bias):
                return cosine
            seen = log_probability(logits + bias).sum(axis=1, keepdims=True)
            return np.hstack([cosine, seen])

        return Look(place, kernel, evidence, np.array(shares, np.float32))

    return rank


def score_all(look: Look | None, vectors: SearchVectors) -> FloatArray:
    """Stacked photos (N rows) against a query: (N,), comparable only within one call.

    Zeros where the model knows none of the query's words.
    """
    if look is None:
        return np.zeros(len(vectors.joint), np.float32)
    evidence = look.at(vectors)
    standard = (evidence - evidence.mean(axis=0)) / (evidence.std(axis=0) + 1e-6)
    return standard @ look.shares
