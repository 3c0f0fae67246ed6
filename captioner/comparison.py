"""Comparison: what one or several models say about a photo that is not in any index.

For uploads: the photo comes as bytes, is decoded in the sandbox, and nothing of it is kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from captioner.errors import PhotoError
from captioner.model.options import DescribeOptions
from captioner.photos.read import read_stream
from captioner.types import Caption, DecodedPhoto, Describer, Keyword, PixelArray

MAX_BYTES = 256 << 20
"""A file with more is refused: raw photos of medium format cameras have up to 220 MB."""
ALTERNATIVES = 5
"""Captions by each model."""


class ComparableModel(Describer, Protocol):
    """A describer whose threshold can be changed: `captioner.model.describer.Model`."""

    def with_min_confidence(self, min_confidence: float) -> Describer:
        """The same with another threshold of confidence, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model says about a photo."""

    model: str
    """The model's name, as in `Comparison.names`."""
    captions: tuple[Caption, ...]
    """Best first."""
    is_trusted: bool
    """Whether the captions reach the model's threshold. If none does, they are those that the model
    considered, and the keywords are what the command line would print."""
    keywords: tuple[Keyword, ...]
    """Things before actions, each most probable first."""
    seconds: float
    """To encode and describe it, without decoding."""


@dataclass(frozen=True, slots=True)
class ComparedPhoto:
    """A photo with the results of each model."""

    format: str
    width: int
    """Of the upright photo, pixels."""
    height: int
    seconds: float
    """To decode it."""
    results: tuple[ModelResult, ...]
    pixels: PixelArray
    """uint8 (size, size, 3): what the first model was given, the photo squashed to a square."""


class _LoadedModel:
    """A model that is used by one thread at a time."""

    def __init__(self, name: str, model: ComparableModel) -> None:
        self.name, self.size = name, model.size
        self._model, self._without_threshold = model, model.with_min_confidence(0)
        self._lock = threading.Lock()

    def describe(self, photo: DecodedPhoto) -> ModelResult:
        """Captions and keywords of one photo."""
        with self._lock:
            start = time.perf_counter()
            [features] = self._model.encode([photo.rgb[np.newaxis]])
            [described] = self._model.describe([photo], features)
            captions = described.captions
            if not captions:
                [unsure] = self._without_threshold.describe([photo], features)
                captions = unsure.captions
            seconds = time.perf_counter() - start
        return ModelResult(
            self.name, captions, bool(described.captions), described.keywords, seconds
        )


class Comparison:
    """Models that caption the same photos; loaded when the first photo comes.

    Parameters
    ----------
    bundles
        The bundles to compare; None stands for the default one.
    load
        Loads a model.
    """

    def __init__(
        self,
        bundles: Sequence[Path | None],
        load: Callable[[DescribeOptions], ComparableModel],
    ) -> None:
        self._bundles, self._load = list(bundles), load
        self._lock = threading.Lock()
        self._models: list[_LoadedModel] = []

    @property
    def names(self) -> list[str]:
        """The names of the models, each a different one: those of their folders."""
        from captioner.app_paths import bundle_folder

        names: list[str] = []
        for bundle in self._bundles:
            name = (bundle or bundle_folder()).resolve().name
            again = sum(other == name or other.startswith(f"{name} (") for other in names)
            names.append(f"{name} ({again + 1})" if again else name)
        return names

    def describe(self, file: BinaryIO, name: str = "upload") -> ComparedPhoto:
        """Describe a photo by each model, one after the other.

        Parameters
        ----------
        file
            The photo's content, seekable.
        name
            Stands for its path.

        Raises
        ------
        PhotoError
            If it cannot be read, or is too large.
        CaptionerError
            If a model cannot be loaded.
        """
        if file.seek(0, 2) > MAX_BYTES:
            raise PhotoError(
                f"it has more than {MAX_BYTES >> 20} MiB.", "Make a smaller copy of it."
            )
        models = self._loaded()
        decoded: dict[int, DecodedPhoto] = {}
        start = time.perf_counter()
        for model in models:
            if model.size not in decoded:
                file.seek(0)
                decoded[model.size] = read_stream(file, name, model.size)
        seconds = time.perf_counter() - start
        first = decoded[models[0].size]
        return ComparedPhoto(
            format=first.format,
            width=first.width,
            height=first.height,
            seconds=seconds,
            results=tuple(model.describe(decoded[model.size]) for model in models),
            pixels=first.rgb,
        )

    def _loaded(self) -> list[_LoadedModel]:
        with self._lock:
            if not self._models:
                # One photo at a time: a batch would take as long as if it were full.
                self._models = [
                    _LoadedModel(
                        name,
                        self._load(
                            DescribeOptions(bundle=bundle, photos=1, alternatives=ALTERNATIVES)
                        ),
                    )
                    for name, bundle in zip(self.names, self._bundles, strict=True)
                ]
            return self._models
