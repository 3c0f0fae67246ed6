"""Several models for the same photos: each photo is decoded once, and encoded once per encoder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, cast

import numpy as np

from captioner.errors import UsageError
from captioner.execution import Executor, StagingExecutor, get
from captioner.types import (
    DecodedPhoto,
    Describer,
    Description,
    Failure,
    FloatArray,
    Photo,
    PixelArray,
    PortableDescriber,
)


class Member(Describer, Protocol):
    """A describer that may share its encoder with others."""

    @property
    def feature_size(self) -> int:
        """Length of the features of one photo."""
        ...


def describe_each(
    photos: Iterable[Photo | Failure],
    describers: Sequence[Member],
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


def together(members: Sequence[Member]) -> Describer:
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
    """Describers of one input size; the features of their encoders are side by side."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._encoders: dict[str, Member] = {}
        """By its id the first describer with each encoder."""
        for member in members:
            self._encoders.setdefault(member.encoder_id, member)
        self.model_id = "+".join(member.model_id for member in members)
        self.encoder_id = "+".join(self._encoders)
        [self.size] = {member.size for member in members}

    @property
    def batch_size(self) -> int:
        """What all encoders take at once."""
        return min(encoder.batch_size for encoder in self._encoders.values())

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[FloatArray]:
        """Features of all encoders (n, sum of their lengths), each at work on its batches."""
        encoders = list(self._encoders.values())
        if len(encoders) == 1:
            yield from encoders[0].encode(batches)
            return
        copies = itertools.tee(batches, len(encoders))
        features = [each.encode(copy) for each, copy in zip(encoders, copies, strict=True)]
        for parts in zip(*features, strict=True):
            yield np.hstack(parts)

    def describe(self, pixels: Sequence[DecodedPhoto], features: FloatArray) -> list[Description]:
        """The first member's descriptions, with those of the others."""
        ends = np.cumsum([encoder.feature_size for encoder in self._encoders.values()])
        parts = np.split(features, ends[:-1], axis=1)
        own = dict(zip(self._encoders, parts, strict=True))
        found = [member.describe(pixels, own[member.encoder_id]) for member in self._members]
        return [replace(first, others=tuple(rest)) for first, *rest in zip(*found, strict=True)]


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
    return together([cast(Member, load()) for load in loaders])
