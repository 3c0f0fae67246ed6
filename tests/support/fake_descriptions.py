"""Synthetic photos and descriptions for tests of the index: no file, no model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from captioner.types import Caption, Description, Failure, Keyword, Photo, QueryPlan, SearchVectors


def photo(name: str, *, size: int = 1000, mtime_ns: int = 1) -> Photo:
    return Photo(Path("/photos") / name, size, mtime_ns)


def description(
    of: Photo | str,
    *captions: str,
    keywords: Sequence[str] = (),
    joint: Sequence[float] = (1, 0),
    words: Sequence[float] = (0, 0),
    content_hash: bytes | None = None,
) -> Description:
    """Of a photo whose content is its own, unless it is given that of another."""
    of = photo(of) if isinstance(of, str) else of
    return Description(
        photo=of,
        width=640,
        height=480,
        format="JPEG",
        content_hash=content_hash or blake2b(os.fsencode(of.path), digest_size=20).digest(),
        captions=tuple(Caption(text, 0.5, -10.0) for text in captions or ["A dog runs."]),
        keywords=tuple(Keyword(word, 0.9) for word in keywords),
        feature=np.arange(8, dtype=np.float16),
        vectors=SearchVectors(np.array(joint, np.float16), np.array(words, np.float16)),
    )


def query_plan(joint: Sequence[float], words: Sequence[float]) -> QueryPlan:
    """One direction in each space; the one measure is the sum of both."""
    directions = [np.array([axis], np.float32).T for axis in (joint, words)]
    return QueryPlan(*directions, lambda cosine, logit: cosine + logit, np.ones(1, np.float32))


def failure(of: Photo | str, reason: str = "it is truncated.") -> Failure:
    of = photo(of) if isinstance(of, str) else of
    return Failure(of.path, reason, of)
