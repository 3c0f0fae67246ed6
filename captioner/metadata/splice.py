"""Changes to bytes by position: what is not named stays, and every change can be turned round."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

_HEADER = struct.Struct("<QQQ")


class Splice(NamedTuple):
    """Put `new` in the place of the bytes from `start` up to `end` of the original."""

    start: int
    end: int
    new: bytes

    @property
    def growth(self) -> int:
        """Bytes by which the whole becomes longer."""
        return len(self.new) - (self.end - self.start)


def ordered(splices: Iterable[Splice]) -> list[Splice]:
    """Sort by position, insertions at one place in the order given.

    Raises
    ------
    ValueError
        Where two of them overlap.
    """
    result = sorted(splices, key=lambda splice: (splice.start, splice.end))
    for before, after in pairwise(result):
        if before.end > after.start:
            raise ValueError("splices overlap")
    return result


def apply(data: bytes, splices: Iterable[Splice]) -> bytes:
    """Carry out the splices; their positions all count in `data` as it is before."""
    pieces = []
    at = 0
    for start, end, new in ordered(splices):
        if not at <= start <= end <= len(data):
            raise ValueError("splice out of range")
        pieces += [data[at:start], new]
        at = end
    return b"".join([*pieces, data[at:]])


def inverse(data: bytes, splices: Iterable[Splice]) -> list[Splice]:
    """The splices that make `data` again of `apply(data, splices)`."""
    result = []
    moved = 0
    for splice in ordered(splices):
        start = splice.start + moved
        result.append(Splice(start, start + len(splice.new), data[splice.start : splice.end]))
        moved += splice.growth
    return result


def shifted(splices: Iterable[Splice], by: int) -> list[Splice]:
    """The same splices, their positions counted from `by` bytes further ahead."""
    return [Splice(start + by, end + by, new) for start, end, new in splices]


def between(old: bytes, new: bytes) -> list[Splice]:
    """One splice that makes `new` of `old`, as short as their common ends allow; none if equal."""
    if old == new:
        return []
    shorter = min(len(old), len(new))
    head = _common(old, new, shorter)
    tail = _common(old[head:][::-1], new[head:][::-1], shorter - head)
    return [Splice(head, len(old) - tail, new[head : len(new) - tail])]


def pack(splices: Sequence[Splice]) -> bytes:
    """Splices as bytes, for indexing."""
    parts = []
    for start, end, new in splices:
        parts += [_HEADER.pack(start, end, len(new)), new]
    return zlib.compress(b"".join(parts))


def unpack(packed: bytes) -> list[Splice]:
    """What `pack` packed."""
    data = zlib.decompress(packed)
    result = []
    at = 0
    while at < len(data):
        start, end, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        result.append(Splice(start, end, data[at : at + length]))
        at += length
    return result


def _common(one: bytes, other: bytes, most: int) -> int:
    """How many bytes both begin with alike, by halving."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
