"""Ensembles: several decoders of one vocabulary whose next-word probabilities are averaged.

The arithmetic mean is taken at every step, inside one beam search. The members may be of different
kinds and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from captioner.model.decoders.interface import IntArray, States, Stepper
from captioner.types import Features, FloatArray


def combine(steppers: Sequence[Stepper]) -> Stepper:
    """One stepper as it is, several as an `Ensemble`."""
    return steppers[0] if len(steppers) == 1 else Ensemble(steppers)


def members(stepper: Stepper) -> tuple[Stepper, ...]:
    """The inverse of `combine`."""
    return stepper.members if isinstance(stepper, Ensemble) else (stepper,)


class Ensemble:
    """A stepper that averages those of its members.

    Raises
    ------
    ValueError
        If there are none, or their vocabularies differ in size.
    """

    def __init__(self, members: Sequence[Stepper]) -> None:
        sizes = {member.vocabulary_size for member in members}
        if len(sizes) != 1:
            raise ValueError("the decoders of an ensemble share one vocabulary")
        self.vocabulary_size = sizes.pop()
        self.members = tuple(members)

    def start(
        self, features: Features, shortlist: IntArray | None = None
    ) -> tuple[tuple[Any, ...], States]:
        """Begin with photos; see `Stepper`."""
        started = [member.start(features, shortlist) for member in self.members]
        photos = tuple(photos for photos, _ in started)
        return photos, _side_by_side([states for _, states in started])

    def step(
        self, photos: tuple[Any, ...], rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States]:
        """Append a token to each hypothesis; see `Stepper`."""
        total: FloatArray | None = None
        longer = []
        for number, (member, own) in enumerate(zip(self.members, photos, strict=True)):
            p, after = member.step(own, rows, states[str(number)], tokens)
            longer.append(after)
            if total is None:
                total = p
            else:
                total += p
        assert total is not None
        total *= np.float32(1 / len(self.members))
        return total, _side_by_side(longer)


def _side_by_side(states: Sequence[States]) -> States:
    """The members' states as one structured array: field "0" is the first member's."""
    fields = [(str(n), each.dtype, each.shape[1:]) for n, each in enumerate(states)]
    out = np.empty(len(states[0]), np.dtype(fields))
    for number, each in enumerate(states):
        out[str(number)] = each
    return out
