"""A describer that records how an executor calls it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from colour_describer import ColourDescriber

from captioner.types import DecodedPhoto, Description, Features, PixelArray


class RecordingDescriber(ColourDescriber):
    """Recognises colours, and keeps batches in flight as an engine does.

    Parameters
    ----------
    batch_size
        As of `Describer`.
    ahead
        Batches that `encode` pulls before it yields the features of the first.
    before_describing
        Called with the number of photos described so far, before any more are.
    """

    def __init__(
        self,
        *,
        batch_size: int = 4,
        ahead: int = 2,
        before_describing: Callable[[int], None] = lambda described: None,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self._ahead = ahead
        self._before_describing = before_describing
        self.encoded: list[int] = []
        """The length of each batch that was pulled."""
        self.described = 0

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        in_flight: deque[Features] = deque()
        for batch in batches:
            assert 1 <= len(batch) <= self.batch_size
            self.encoded.append(len(batch))
            in_flight.extend(super().encode([batch]))
            if len(in_flight) > self._ahead:
                yield in_flight.popleft()
        yield from in_flight

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        self._before_describing(self.described)
        assert len(pixels) == len(features)
        self.described += len(pixels)
        return super().describe(pixels, features)
