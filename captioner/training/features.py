"""Features of a corpus, extracted once and cached on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from captioner.model.engines import Engine
from captioner.photos.decode import model_input, upright
from captioner.training.progress import Progress, Silent
from captioner.types import HalfArray, PixelArray


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


def extract(
    paths: Sequence[Path],
    engine: Engine,
    identity: str,
    *,
    size: int,
    feature_size: int,
    views: int = 1,
    cache: Path,
    progress: Progress | None = None,
) -> HalfArray:
    """Features of photos, float16 (len(paths), views, feature_size), from the cache if it has them.

    Parameters
    ----------
    engine
        Encodes uint8 (n, size, size, 3).
    identity
        Names the engine's weights and precision: see `FeatureExtractor.of`.
    cache
        Folder of `features-DIGEST.npy` files.
    """
    key = hashlib.blake2b(digest_size=8)
    key.update(f"{identity} {size} {views}\n".encode())
    for path in paths:
        key.update(f"{path.name} {path.stat().st_size}\n".encode())
    file = cache / f"features-{key.hexdigest()}.npy"
    if file.is_file():
        return np.load(file, allow_pickle=False)
    out = np.empty((len(paths), views, feature_size), np.float16)
    flat = out.reshape(-1, feature_size)
    done = 0
    with (progress or Silent()).stage("features", len(flat), unit="view") as advance:
        for batch in engine.encode(_batches(paths, size, views, engine.batch_size)):
            flat[done : done + len(batch)] = batch.pooled
            done += len(batch)
            for _ in range(len(batch)):
                advance("extracting features")
    cache.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, out, allow_pickle=False)
    partial.replace(file)
    return out


def _batches(paths: Sequence[Path], size: int, views: int, count: int) -> Iterator[PixelArray]:
    jobs = [(path, view) for path in paths for view in range(views)]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        for start in range(0, len(jobs), count):
            part = jobs[start : start + count]
            yield np.stack(list(pool.map(lambda job: load_pixels(job[0], size, job[1]), part)))
