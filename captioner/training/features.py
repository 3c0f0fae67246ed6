"""Features of a corpus, extracted once, cached on disk and mapped into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from captioner.errors import CaptionerError
from captioner.model.engines import Engine
from captioner.photos.decode import model_input, upright
from captioner.training.feature_files import ArrayWriter, mapped, release, writing
from captioner.training.progress import Progress, Silent
from captioner.types import Features, FloatArray, HalfArray, PixelArray

IntArray = npt.NDArray[np.integer[Any]]


def _centre_crop(image: Image.Image) -> Image.Image:
    """The photo without a tenth of its width and height at each side."""
    width, height = image.size
    return image.crop((width // 10, height // 10, width - width // 10, height - height // 10))


VIEWS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: image,
    ImageOps.mirror,
    _centre_crop,
    lambda image: ImageOps.mirror(_centre_crop(image)),
)
"""The whole photo, its mirror image, its centre crop, and the mirror image of that."""


def load_pixels(path: Path, size: int, view: int = 0) -> PixelArray:
    """Pixels of one photo as an encoder takes them, uint8 (size, size, 3)."""
    with Image.open(path) as image:
        return model_input(VIEWS[view](upright(image)), size)


@dataclass(frozen=True, slots=True, eq=False)
class CachedFeatures:
    """Features of photos in several views, mapped from files: rows are read when they are used."""

    pooled: HalfArray
    """float16 (photos, views, D)."""
    grid: HalfArray | None = None
    """float16 (photos, views, h, w, C): feature maps; None if the encoder did not compute them."""

    @classmethod
    def of(cls, features: HalfArray | CachedFeatures) -> CachedFeatures:
        """Pooled features alone, as this class."""
        return features if isinstance(features, CachedFeatures) else cls(features)

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: slice) -> CachedFeatures:
        """The features of some of the photos."""
        return CachedFeatures(self.pooled[rows], None if self.grid is None else self.grid[rows])

    @property
    def views(self) -> int:
        """Views of each photo."""
        return int(self.pooled.shape[1])

    def view(self, number: int = 0) -> Features:
        """One view of each photo; the feature maps stay in their file, in float16."""
        grid = None if self.grid is None else self.grid[:, number]
        return Features(self.pooled[:, number].astype(np.float32), grid)

    def size(self, *, grid: bool) -> int:
        """Length D of the pooled features, or channels C of the feature map."""
        return int(self._chosen(grid=grid).shape[-1])

    def inputs(self, rows: IntArray, views: IntArray, *, grid: bool) -> dict[str, FloatArray]:
        """What a decoder's network takes: `feature` (n, D), or `grid` (n, h, w, C)."""
        stored = self._chosen(grid=grid)
        chosen = stored[rows, views].astype(np.float32)
        release(stored)
        return {"grid" if grid else "feature": chosen}

    def zeros(self, *, grid: bool) -> CachedFeatures:
        """Features of one photo that shows nothing."""
        pooled = np.zeros((1, 1, self.pooled.shape[2]), np.float16)
        shape = self._chosen(grid=grid).shape[2:]
        return CachedFeatures(pooled, np.zeros((1, 1, *shape), np.float16) if grid else None)

    def _chosen(self, *, grid: bool) -> HalfArray:
        if not grid:
            return self.pooled
        assert self.grid is not None, "the encoder was started without its feature map"
        return self.grid


def extract(
    paths: Sequence[Path],
    engine: Engine,
    identity: str,
    *,
    size: int,
    feature_size: int,
    grid_shape: tuple[int, int, int] | None = None,
    views: int = 1,
    cache: Path,
    progress: Progress | None = None,
) -> CachedFeatures:
    """Features of photos, from the cache if it has them, and otherwise written there first.

    Parameters
    ----------
    engine
        Encodes uint8 (n, size, size, 3).
    identity
        Names the engine's weights and precision: see `FeatureExtractor.of`.
    grid_shape
        Height, width and channels of the feature maps that the engine computes as well; None if it
        does not.
    cache
        Folder of `features-DIGEST.npy` and `grids-DIGEST.npy` files.

    Raises
    ------
    CaptionerError
        If the files cannot be written: the disk is full, for example.
    """
    key = hashlib.blake2b(digest_size=8)
    key.update(f"{identity} {size} {views}\n".encode())
    for path in paths:
        key.update(f"{path.name} {path.stat().st_size}\n".encode())
    shapes: dict[str, tuple[int, ...]] = {"features": (len(paths), views, feature_size)}
    if grid_shape:
        shapes["grids"] = (len(paths), views, *grid_shape)
    files = {name: cache / f"{name}-{key.hexdigest()}.npy" for name in shapes}
    if not all(file.is_file() for file in files.values()):
        # Photos are read once more only if their features are not there: a run that was killed
        # goes on with the next one.
        with writing({files[name]: shapes[name] for name in shapes}) as writer:
            if writer:
                _fill(writer, paths, engine, size, views, progress or Silent())
    return CachedFeatures(*(mapped(file) for file in files.values()))


def _fill(
    writer: ArrayWriter,
    paths: Sequence[Path],
    engine: Engine,
    size: int,
    views: int,
    progress: Progress,
) -> None:
    jobs = [(path, view) for path in paths for view in range(views)]
    done = writer.done
    with progress.stage("features", len(jobs), done=done, unit="view") as advance:
        for batch in engine.encode(_batches(jobs[done:], size, engine.batch_size)):
            writer.append([one for one in (batch.pooled, batch.grid) if one is not None])
            for _ in range(len(batch)):
                advance("extracting features")


def _batches(jobs: Sequence[tuple[Path, int]], size: int, count: int) -> Iterator[PixelArray]:
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        for start in range(0, len(jobs), count):
            part = jobs[start : start + count]
            yield np.stack(list(pool.map(lambda job: _pixels(job[0], job[1], size), part)))


def _pixels(path: Path, view: int, size: int) -> PixelArray:
    try:
        return load_pixels(path, size, view)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CaptionerError(
            f"{path} cannot be decoded: {error}.",
            "Repair the photo, or remove it and its captions from the data set, and run the "
            "command again: the features of the other photos are kept.",
        ) from error
