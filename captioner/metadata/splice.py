"""Byte splices: changes by position, which can be inverted and serialised as undo patches."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

_HEADER = struct.Struct("<QQQ")


class Splice(NamedTuple):
    """Replace the bytes from `start` to `end` (exclusive) of the original with `new`."""

    start: int
    end: int
    new: bytes

    @property
    def growth(self) -> int:
        """By how many bytes the result is longer."""
        return len(self.new) - (self.end - self.start)


def sort(splices: Iterable[Splice]) -> list[Splice]:
    """Splices sorted by position; insertions at the same position stay in the order given.

    Raises
    ------
    ValueError
        If two of them overlap.
    """
    result = sorted(splices, key=lambda splice: (splice.start, splice.end))
    for before, after in pairwise(result):
        if before.end > after.start:
            raise ValueError("splices overlap")
    return result


def apply(data: bytes, splices: Iterable[Splice]) -> bytes:
    """Apply splices; all positions refer to the original `data`."""
    pieces = []
    at = 0
    for start, end, new in sort(splices):
        if not at <= start <= end <= len(data):
            raise ValueError("splice out of range")
        pieces += [data[at:start], new]
        at = end
    return b"".join([*pieces, data[at:]])


def inverse(data: bytes, splices: Iterable[Splice]) -> list[Splice]:
    """The splices that turn `apply(data, splices)` back into `data`."""
    result = []
    moved = 0
    for splice in sort(splices):
        start = splice.start + moved
        result.append(Splice(start, start + len(splice.new), data[splice.start : splice.end]))
        moved += splice.growth
    return result


def shift(splices: Iterable[Splice], by: int) -> list[Splice]:
    """The same splices with all positions increased by `by`."""
    return [Splice(start + by, end + by, new) for start, end, new in splices]


def difference(old: bytes, new: bytes) -> list[Splice]:
    """One splice that turns `old` into `new`, without common prefix and suffix; none if equal."""
    if old == new:
        return []
    shorter = min(len(old), len(new))
    head = _common_prefix(old, new, shorter)
    tail = _common_prefix(old[head:][::-1], new[head:][::-1], shorter - head)
    return [Splice(head, len(old) - tail, new[head : len(new) - tail])]


def pack(splices: Sequence[Splice]) -> bytes:
    """Serialise splices, for the undo patches that the index stores."""
    parts = []
    for start, end, new in splices:
        parts += [_HEADER.pack(start, end, len(new)), new]
    return zlib.compress(b"".join(parts))


def unpack(packed: bytes) -> list[Splice]:
    """Deserialise splices from `pack`."""
    data = zlib.decompress(packed)
    result = []
    at = 0
    while at < len(data):
        start, end, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        result.append(Splice(start, end, data[at : at + length]))
        at += length
    return result


def _common_prefix(one: bytes, other: bytes, limit: int) -> int:
    """Length of the common prefix, at most `limit`, by binary search."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
