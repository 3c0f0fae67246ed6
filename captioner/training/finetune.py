"""Batches of augmented photos for fine-tuning the encoder through its two heads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from captioner.model.backend.interface import Device
from captioner.photos.decode import model_input, upright
from captioner.training.heads import TrainingTargets
from captioner.types import FloatArray, PixelArray

BATCH = 32
"""Photos per step on CPUs; the learning rate of fine-tuning is that of this many."""
_GPU_BATCH = 256
_PHOTO_BYTES = 160 << 20
"""GPU memory for a photo of 192 × 192 pixels in training: its feature maps, kept for the gradient,
with room to spare."""


def batch_for(devices: Sequence[Device], size: int) -> int:
    """Photos per step that suit the first of a back end's GPUs; `BATCH` if there are none.

    Parameters
    ----------
    size
        Width and height of a photo, pixels.

    Returns
    -------
    A power of two.
    """
    if not devices:
        return BATCH
    if devices[0].free_memory is None:
        return 2 * BATCH
    fit = devices[0].free_memory // round(_PHOTO_BYTES * (size / 192) ** 2)
    return min(_GPU_BATCH, 1 << max(3, int(fit).bit_length() - 1))


def augment(image: Image.Image, size: int, random: np.random.Generator) -> PixelArray:
    """A random crop of at least half the photo, flipped half the time, with some colour jitter.

    The crop enlarges its content by a seventh on average. An encoder that is fine-tuned on 192
    pixels therefore meets objects in the size they have when it encodes whole photos at 224
    (Touvron et al. 2019, "Fixing the train-test resolution discrepancy").

    Returns
    -------
    uint8 (size, size, 3).
    """
    area, shape = random.uniform(0.5, 1), np.exp(random.uniform(-0.15, 0.15))
    width = min(image.width, round(image.width * np.sqrt(area) * shape))
    height = min(image.height, round(image.height * np.sqrt(area) / shape))
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    image = image.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(random.uniform(0.8, 1.2))
    return model_input(image, size)


class PixelBatches:
    """Augmented photos, each with one of its captions, and captions of other photos as negatives.

    Captions cost little compared with photos: a thousand negatives a batch make the contrastive
    task hard although only a few photos fit in one step. Each core decodes and augments photos.
    """

    def __init__(
        self,
        targets: TrainingTargets,
        *,
        photo_size: int,
        size: int = BATCH,
        sentences: int | None = None,
        seed: int,
    ) -> None:
        sentences = max(1024, 16 * size) if sentences is None else sentences
        self.targets, self.photo_size, self.size, self.seed = targets, photo_size, size, seed
        self.sentences = min(sentences, int(targets.captioned.sum()))
        self.steps = max(1, len(targets) // size)
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="augment")

    def __call__(self, epoch: int, step: int) -> tuple[dict[str, Any], FloatArray]:
        """Step `step` of a random order of all photos that the epoch fixes."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.targets))
        random = np.random.default_rng([self.seed, epoch, step])
        rows = order[step * self.size : (step + 1) * self.size]
        others = random.permutation(np.setdiff1d(np.flatnonzero(self.targets.captioned), rows))
        bags = self.targets.sentences(rows, others[: self.sentences - len(rows)], random)
        jobs = zip(rows, random.spawn(len(rows)), strict=True)
        photos = np.stack(list(self._pool.map(lambda job: self._photo(*job), jobs)))
        return (
            {
                "photo": photos,
                "bags": bags,
                "captioned": self.targets.captioned[rows],
                "annotated": self.targets.annotated[rows],
            },
            self.targets.labels[rows].astype(np.float32),
        )

    def _photo(self, row: int, random: np.random.Generator) -> PixelArray:
        with Image.open(self.targets.examples[row].path) as image:
            return augment(upright(image), self.photo_size, random)
