"""A comparison of systems: their figures on the same photos, and how certain differences are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Self

from captioner.model.bundle import ENCODER, Bundle
from captioner.training.evaluation import Evaluation
from captioner.training.metrics import Difference, paired_bootstrap
from captioner.training.systems import System


@dataclass(frozen=True, slots=True)
class Measurement:
    """One bundle with its figures."""

    bundle: Bundle
    evaluation: Evaluation
    encoder_parameters: int
    decoder_parameters: int
    """Of all its decoders."""

    @classmethod
    def of(cls, bundle: Bundle, evaluation: Evaluation) -> Self:
        """Count a bundle's parameters."""
        decoders = sum(map(bundle.parameters, bundle.decoders))
        return cls(bundle, evaluation, bundle.parameters(ENCODER), decoders)

    @property
    def figures(self) -> dict[str, float]:
        """By the names that `captioner evaluate --json` has for them, where it has them."""
        scores, recall = self.evaluation.scores, self.evaluation.recall
        return {
            "cider": scores.cider,
            **{f"bleu_{n}": value for n, value in enumerate(scores.bleu, 1)},
            "rouge_l": scores.rouge,
            **({} if scores.meteor is None else {"meteor": scores.meteor}),
            "words_used": scores.words_used,
            "different_captions": scores.different_captions,
            "at_1": recall.at_1,
            "at_5": recall.at_5,
            "at_10": recall.at_10,
            "encoder_parameters": self.encoder_parameters,
            "decoder_parameters": self.decoder_parameters,
            "bytes": self.bundle.bytes_on_disk,
        }


@dataclass(frozen=True, slots=True)
class SystemResult:
    """A system with the figures of its bundles."""

    name: str
    measurements: tuple[Measurement, ...]
    """At least one; all of the same photos."""
    photos_per_second: float | None = None
    """Of its first bundle, from the file to the caption; None if not measured."""

    @property
    def photo_cider(self) -> dict[str, float]:
        """CIDEr × 100 of each photo, the mean over the bundles."""
        each = [measured.evaluation.scores.photo_cider for measured in self.measurements]
        return {name: fmean(one[name] for one in each) for name in each[0]}

    @property
    def mean(self) -> dict[str, float]:
        """Each figure of `Measurement`, the mean over the bundles that have it."""
        return {name: fmean(values) for name, values in self._values().items()}

    @property
    def deviation(self) -> dict[str, float]:
        """The sample standard deviation of each; empty if there is one bundle."""
        if len(self.measurements) == 1:
            return {}
        return {name: stdev(values) for name, values in self._values().items()}

    def _values(self) -> dict[str, list[float]]:
        """The values of each figure that all bundles have."""
        first, *rest = [measured.figures for measured in self.measurements]
        return {
            name: [value, *(figures[name] for figures in rest)]
            for name, value in first.items()
            if all(name in figures for figures in rest)
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Systems measured on the same photos."""

    results: tuple[SystemResult, ...]
    differences: tuple[Difference | None, ...]
    """In CIDEr × 100 to the first system; None for the first one itself."""

    @classmethod
    def of(cls, results: Sequence[SystemResult], *, resamples: int, seed: int = 0) -> Self:
        """Compare each system with the first, photo by photo.

        A photo's score is its mean over a system's bundles, and photos alone are resampled: the
        interval is about other photos. How much other seeds would change is the deviation.

        Raises
        ------
        ValueError
            If the systems were not measured on the same photos.
        """
        first, *rest = [result.photo_cider for result in results]
        differences = (paired_bootstrap(own, first, seed, resamples) for own in rest)
        return cls(tuple(results), (None, *differences))


def select_systems(
    systems: Sequence[System], measured: Mapping[str, Measurement]
) -> list[SystemResult]:
    """The systems with the bundles that were measured, by their `model_id`; none without any."""
    found = (
        (system.name, [measured[b.model_id] for b in system.bundles if b.model_id in measured])
        for system in systems
    )
    return [SystemResult(name, tuple(each)) for name, each in found if each]


def seconds_side_by_side(
    work: Sequence[Callable[[], None]], repeats: int
) -> Iterator[tuple[int, float]]:
    """Run each function repeatedly, and yield its number and its seconds each time.

    In turns, and in the opposite order every other time, so that a machine that slows down slows
    all of them.
    """
    for repeat in range(repeats):
        numbers = range(len(work))
        for number in numbers if repeat % 2 == 0 else reversed(numbers):
            start = time.perf_counter()
            work[number]()
            yield number, time.perf_counter() - start


def median_pace(photos: int, seconds: Sequence[float]) -> float | None:
    """Photos per second, given how long each repeat took; None without repeats."""
    return photos / median(seconds) if seconds else None
