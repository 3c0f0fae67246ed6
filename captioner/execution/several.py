"""Several models for the same photos: each photo is decoded once, and encoded once per encoder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from captioner.errors import UsageError
from captioner.execution import Executor, StagingExecutor, get
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Failure,
    Features,
    Photo,
    PixelArray,
    PortableDescriber,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Features(Features):
    """What several encoders compute from N photos: the first one's features, and all others."""

    others: tuple[Features, ...] = ()

    def __getitem__(self, rows: slice | Sequence[int]) -> _Features:
        first = Features(self.pooled, self.grid)[rows]
        return _Features(first.pooled, first.grid, tuple(other[rows] for other in self.others))


def describe_each(
    photos: Iterable[Photo | Failure],
    describers: Sequence[Describer],
    executor: Executor | None = None,
) -> Generator[tuple[Description, ...] | Failure, None, None]:
    """Describe each photo with several models, in the order of the photos.

    Decoding is shared by the models that take photos of one size, and encoding by those with one
    encoder. No more is held than each executor holds.

    Returns
    -------
    For each photo its descriptions in the order of the describers, or one failure.

    Raises
    ------
    UsageError
        If the executor does not keep the order of the photos.
    """
    executor = executor or get()
    if isinstance(executor, StagingExecutor) or not executor.ordered:
        raise UsageError(
            "several models cannot share photos on a cluster.",
            "Use --executor threads or processes, or one model at a time.",
        )
    sizes = list(dict.fromkeys(describer.size for describer in describers))
    of_size = [[n for n, each in enumerate(describers) if each.size == size] for size in sizes]
    position = {number: at for at, number in enumerate(itertools.chain.from_iterable(of_size))}
    pipelines = [
        executor.describe(copy, together([describers[number] for number in numbers]))
        for copy, numbers in zip(itertools.tee(photos, len(sizes)), of_size, strict=True)
    ]
    try:
        for results in zip(*pipelines, strict=True):
            failed = next((result for result in results if isinstance(result, Failure)), None)
            found = [
                description
                for result in results
                if isinstance(result, Description)
                for description in (replace(result, others=()), *result.others)
            ]
            yield failed or tuple(found[position[number]] for number in range(len(describers)))
    finally:
        for pipeline in pipelines:
            pipeline.close()


def together(members: Sequence[Describer]) -> Describer:
    """Several describers as one: `Description.others` is what the others say.

    Parameters
    ----------
    members
        They take photos of one size.
    """
    if len(members) == 1:
        return members[0]
    if all(isinstance(member, PortableDescriber) for member in members):
        return _PortableGroup(members)
    return _Group(members)


class _Group:
    """Describers of one input size, each of which gets the features of its own encoder."""

    def __init__(self, members: Sequence[Describer]) -> None:
        self._members = tuple(members)
        self._encoders: dict[str, Describer] = {}
        """By its id a describer with each encoder: one that computes the feature map, if any."""
        for member in members:
            chosen = self._encoders.setdefault(member.encoder_id, member)
            if member.needs_grid and not chosen.needs_grid:
                self._encoders[member.encoder_id] = member
        self.model_id = "+".join(member.model_id for member in members)
        self.encoder_id = "+".join(self._encoders)
        self.needs_grid = any(member.needs_grid for member in members)
        [self.size] = {member.size for member in members}

    @property
    def batch_size(self) -> int:
        """What all encoders take at once."""
        return min(encoder.batch_size for encoder in self._encoders.values())

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """What all encoders compute from each batch, each at work on its own batches."""
        encoders = self._encoders.values()
        copies = itertools.tee(batches, len(encoders))
        found = [each.encode(copy) for each, copy in zip(encoders, copies, strict=True)]
        for first, *others in zip(*found, strict=True):
            yield _Features(first.pooled, first.grid, tuple(others))

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        """The first member's descriptions, with those of the others."""
        assert isinstance(features, _Features)
        first = Features(features.pooled, features.grid)
        own = dict(zip(self._encoders, (first, *features.others), strict=True))
        found = [member.describe(pixels, own[member.encoder_id]) for member in self._members]
        return [replace(each, others=tuple(rest)) for each, *rest in zip(*found, strict=True)]


class _PortableGroup(_Group):
    """Describers that can all be loaded again in other processes."""

    def loader(self) -> Callable[[], Describer]:
        """Loads all of them; see `PortableDescriber`."""
        return partial(_load, [member.loader() for member in self._portable])

    @property
    def settings(self) -> str:
        """Those of all; see `PortableDescriber`."""
        return repr([member.settings for member in self._portable])

    @property
    def _portable(self) -> list[PortableDescriber]:
        return [member for member in self._members if isinstance(member, PortableDescriber)]


def _load(loaders: Sequence[Callable[[], Describer]]) -> Describer:
    return together([load() for load in loaders])
