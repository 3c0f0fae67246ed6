"""A fast, deterministic describer that recognises colours, for tests of everything but models."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import fake_descriptions
import numpy as np
from PIL import Image

from captioner.types import (
    Caption,
    DecodedPhoto,
    Description,
    Features,
    FloatArray,
    Keyword,
    PixelArray,
    QueryPlan,
    SearchVectors,
)

COLOURS = ("red", "green", "blue")
MODEL_ID = "c0104e5c0104"


class ColourDescriber:
    """Captions a photo by the most frequent of three colours; its share is the confidence.

    Like a model, it leaves out captions below `min_confidence`, 0 by default.
    """

    model_id = MODEL_ID
    encoder_id = "e0c0de4e0c0d"
    size = 16
    batch_size = 4

    def __init__(self, *, alternatives: int = 1, min_confidence: float | None = None) -> None:
        self._alternatives = alternatives
        self._min_confidence = min_confidence or 0.0

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        for batch in batches:
            features = np.zeros((len(batch), 2048), np.float32)
            features[:, :3] = batch.mean(axis=(1, 2)) / 255
            yield Features(features)

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        return [self._describe(*pair) for pair in zip(pixels, features.pooled, strict=True)]

    def _describe(self, pixels: DecodedPhoto, feature: FloatArray) -> Description:
        shares = feature[:3] / feature[:3].sum()
        order = np.argsort(-shares, kind="stable")
        joint = np.zeros(256, np.float16)
        joint[:3] = feature[:3] / np.linalg.norm(feature[:3])
        return Description(
            photo=pixels.photo,
            width=pixels.width,
            height=pixels.height,
            format=pixels.format,
            content_hash=pixels.content_hash,
            captions=tuple(
                Caption(f"A {COLOURS[k]} photo.", float(shares[k]), float(np.log(shares[k])))
                for k in order[: self._alternatives]
                if shares[k] >= self._min_confidence
            ),
            keywords=tuple(Keyword(COLOURS[k], float(shares[k])) for k in order[:2]),
            feature=feature.astype(np.float16),
            vectors=SearchVectors(joint, joint[:3]),
            facts=pixels.facts,
        )


def rank_colours(query: str) -> QueryPlan | None:
    """A `QueryPlanner` that knows the three words."""
    known = [k for k, colour in enumerate(COLOURS) if colour in query.split()]
    return (
        fake_descriptions.query_plan(np.eye(256)[known].sum(axis=0), np.zeros(3)) if known else None
    )


def photo(path: Path, colour: str) -> Path:
    """Write a small JPEG of one colour, creating its folder; each path gets different bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = [220 if name == colour else 20 for name in COLOURS]
    # Not by a comment, which would be a human-authored caption.
    dots = divmod(zlib.crc32(os.fsencode(path)), 1 << 16)
    Image.new("RGB", (24, 16), tuple(rgb)).save(path, "JPEG", dpi=[max(1, n) for n in dots])
    return path
