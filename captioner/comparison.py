"""Comparison: what one or several models say about a photo that is not in any index.

For uploads: the photo comes as bytes, is decoded in the sandbox, and nothing of it is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from captioner.errors import PhotoError
from captioner.photos.read import read_stream
from captioner.types import Caption, DecodedPhoto, Describer, Keyword

MAX_BYTES = 256 << 20
"""A file with more is refused: raw photos of medium format cameras have up to 220 MB."""
ALTERNATIVES = 5
"""Captions by each model."""


class AdjustableModel(Describer, Protocol):
    """A describer whose options can be changed: `captioner.model.describer.Model`."""

    def adjusted(self, *, alternatives: int, min_confidence: float | None) -> Describer:
        """The same model, which gives more captions, or those with another confidence."""
        ...


Borrow = Callable[[], AbstractContextManager[AdjustableModel]]
"""Borrows a model, which only one thread at a time may use; loads it first if need be."""


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model says about a photo."""

    model: str
    captions: tuple[Caption, ...]
    """Best first."""
    is_trusted: bool
    """Whether the captions reach the model's threshold. If none does, they are those that it
    considered, and the command line would print the keywords."""
    keywords: tuple[Keyword, ...]
    """Things before actions, each most probable first."""
    seconds: float
    """To encode and describe it, without decoding."""


@dataclass(frozen=True, slots=True)
class ComparedPhoto:
    """A photo with what each model says about it."""

    photo: DecodedPhoto
    """As the first model was given it."""
    seconds: float
    """To decode it."""
    results: tuple[ModelResult, ...]


def compare(file: BinaryIO, name: str, models: Mapping[str, Borrow]) -> ComparedPhoto:
    """Describe a photo by each model, one after the other.

    Parameters
    ----------
    file
        The photo's content, seekable.
    name
        Stands for its path.
    models
        One or more, by their names.

    Raises
    ------
    PhotoError
        If it cannot be read, or is too large.
    CaptionerError
        If a model cannot be loaded.
    """
    if file.seek(0, 2) > MAX_BYTES:
        raise PhotoError(f"it has more than {MAX_BYTES >> 20} MiB.", "Make a smaller copy of it.")
    sizes = {}
    for model_name, borrow in models.items():
        with borrow() as model:
            sizes[model_name] = model.size
    decoded: dict[int, DecodedPhoto] = {}
    start = time.perf_counter()
    for size in dict.fromkeys(sizes.values()):
        file.seek(0)
        decoded[size] = read_stream(file, name, size)
    seconds = time.perf_counter() - start
    results = []
    for model_name, borrow in models.items():
        with borrow() as model:
            results.append(_describe(model_name, model, decoded[sizes[model_name]]))
    return ComparedPhoto(next(iter(decoded.values())), seconds, tuple(results))


def _describe(name: str, model: AdjustableModel, photo: DecodedPhoto) -> ModelResult:
    start = time.perf_counter()
    [features] = model.encode([photo.rgb[np.newaxis]])
    usual = model.adjusted(alternatives=ALTERNATIVES, min_confidence=None)
    [described] = usual.describe([photo], features)
    captions = described.captions
    if not captions:
        all_of_them = model.adjusted(alternatives=ALTERNATIVES, min_confidence=0)
        [unsure] = all_of_them.describe([photo], features)
        captions = unsure.captions
    seconds = time.perf_counter() - start
    return ModelResult(name, captions, bool(described.captions), described.keywords, seconds)
