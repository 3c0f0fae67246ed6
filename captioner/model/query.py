"""The query side of search: a few words against many photos, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from captioner.model.bundle import JOINT, LEXICON, WORDS, Bundle
from captioner.model.heads import JointSpace, WordHead
from captioner.model.vocabulary import words
from captioner.places import bundle_folder
from captioner.types import FloatArray, Rank, SearchVectors


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

    def rank(query: str, vectors: SearchVectors) -> FloatArray:
        asked = words(query)
        seen = head.evidence(query, vectors.words)
        place = space.text([asked])[0]
        cosine = vectors.joint.astype(np.float32) @ place if place.any() else None
        if seen is None or cosine is None:
            only = seen if seen is not None else cosine
            count = len(vectors.joint)
            return np.zeros(count, np.float32) if only is None else _standardise(only)
        length = float(np.clip((len(asked) - 2) / 6, 0, 1))
        share = settings["joint_short"] * (1 - length) + settings["joint_long"] * length
        return share * _standardise(cosine) + (1 - share) * _standardise(seen)

    return rank


def _standardise(scores: FloatArray) -> FloatArray:
    return ((scores - scores.mean()) / (scores.std() + 1e-6)).astype(np.float32)
