"""Reviewing captions: which photos a person should look at, and what was decided about them.

The least certain captions are known from the index. Disagreements between two models are found
photo by photo from stored features, without opening a photo, if both use the encoder that computed
these.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from captioner.errors import CaptionerError, UsageError
from captioner.index import Index, PhotoDetails
from captioner.types import FloatArray

if TYPE_CHECKING:
    from captioner.model.describer import Suggestion

Queue = Literal["uncertain", "wordless", "disagreements"]
Outcome = Literal["accepted", "corrected", "skipped"]
_READ_AGAIN = "Recaption the photos with `captioner index --recaption`, which reads them again."


@runtime_checkable
class Suggester(Protocol):
    """A model as reviewing uses it: sentences from stored features, without an engine."""

    @property
    def model_id(self) -> str:
        """As `BundleIds.model_id`."""
        ...

    @property
    def encoder_id(self) -> str:
        """As `BundleIds.encoder_id`."""
        ...

    def suggestions(self, features: FloatArray) -> list[list[Suggestion]]:
        """All sentences considered for photos with these features (N, 2048), best first."""
        ...

    def sentence_vectors(self, sentences: Sequence[str]) -> FloatArray:
        """Sentences (N, D) of unit length: the product of two is their likeness."""
        ...


def suggestions(index: Index, photo: PhotoDetails, model: Suggester) -> list[Suggestion]:
    """All sentences that a model considers for a photo, from its stored features.

    The caption that it gave comes first, then those that it trusts, each best first.

    Raises
    ------
    CaptionerError
        If there are no features of the model's encoder.
    """
    if photo.encoder_id is None or not photo.described:
        raise CaptionerError("the index has no features of this photo.", "Index the photo again.")
    if photo.encoder_id != model.encoder_id:
        raise CaptionerError(
            "the stored features of this photo are those of another encoder, so that this model "
            "would have to read the photo.",
            _READ_AGAIN,
        )
    _, features = index.features([photo.id])
    [found] = model.suggestions(features.pooled)
    given = {one.text for one in photo.captions if one.model_id == model.model_id}
    return sorted(found, key=lambda one: (one.caption.text not in given, not one.trusted))


@dataclass(frozen=True, slots=True, order=True)
class Disagreement:
    """A photo that two models caption differently."""

    likeness: float
    """Cosine of both sentences in the first model's joint space: low if they say other things."""
    photo: int
    """Its id."""
    first: str
    second: str


class DisagreementFinder:
    """Finds photos that two models caption differently, some more with each call.

    Parameters
    ----------
    likeness
        Sentences with a higher cosine count as the same.

    Raises
    ------
    CaptionerError
        If the models have different encoders: features of one are of no use to the other.
    """

    def __init__(self, first: Suggester, second: Suggester, likeness: float = 0.6) -> None:
        if first.model_id == second.model_id:
            raise UsageError("both models are the same.", "Name two different ones with --model.")
        if first.encoder_id != second.encoder_id:
            raise CaptionerError(
                "the two models have different encoders: the second one would have to read the "
                "photos themselves, instead of their stored features.",
                "Compare models that were trained on one encoder, or upload photos to see both.",
            )
        self._models = first, second
        self._likeness = likeness
        self._after = 0
        self._found: list[Disagreement] = []
        self.examined = 0
        self.finished = False

    def advance(self, index: Index, photos: int = 16) -> None:
        """Examine so many photos more."""
        first, second = self._models
        batch = index.described(first.encoder_id, self._after, photos)
        if not batch:
            self.finished = True
            return
        self._after = batch[-1].id
        self.examined += len(batch)
        _, stored = index.features([one.id for one in batch])
        features = stored.pooled
        known = [one.caption if one.model_id == first.model_id else None for one in batch]
        computed = [row for row, one in enumerate(batch) if one.model_id != first.model_id]
        if computed:
            for row, found in zip(computed, first.suggestions(features[computed]), strict=True):
                known[row] = _trusted(found)
        others = [_trusted(found) for found in second.suggestions(features)]
        pairs = [
            (one.id, mine, other)
            for one, mine, other in zip(batch, known, others, strict=True)
            if mine and other and mine != other
        ]
        if not pairs:
            return
        ours = first.sentence_vectors([mine for _, mine, _ in pairs])
        theirs = first.sentence_vectors([other for _, _, other in pairs])
        for (photo, mine, other), cosine in zip(
            pairs, (ours * theirs).sum(axis=1).tolist(), strict=True
        ):
            if cosine <= self._likeness:
                heapq.heappush(self._found, Disagreement(round(cosine, 4), photo, mine, other))

    def take(self, leave_out: Callable[[int], bool]) -> Disagreement | None:
        """The greatest disagreement found so far that is not to be left out; None if none is."""
        while self._found and leave_out(self._found[0].photo):
            heapq.heappop(self._found)
        return self._found[0] if self._found else None


def _trusted(found: Sequence[Suggestion]) -> str | None:
    return next((one.caption.text for one in found if one.trusted), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one photo."""

    photo: int
    """Its id."""
    path: Path
    outcome: Outcome
    caption: str = ""
    """The person's caption now; empty if the photo was skipped."""
    before: str = ""
    """The person's caption before; empty if there was none."""


@dataclass
class Review:
    """The decisions of one session: what is skipped in it is not asked again. Thread-safe."""

    _decisions: list[Decision] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All that were not undone, in their order."""
        with self._lock:
            return tuple(self._decisions)

    def upcoming(
        self, index: Index, queue: Literal["uncertain", "wordless"], limit: int = 1
    ) -> list[int]:
        """Ids of the next photos of a queue that are known from the index."""
        decided = {decision.photo for decision in self.decisions}
        select = index.least_certain if queue == "uncertain" else index.wordless
        return select(limit, decided)

    def disagreement(
        self, index: Index, finder: DisagreementFinder, photos: int = 64
    ) -> Disagreement | None:
        """The next disagreement of two models; None if none was found yet.

        Examines as many photos more as are asked for, unless there is one already.
        """
        decided = {decision.photo for decision in self.decisions}
        target = finder.examined + photos
        found = finder.take(decided.__contains__)
        while found is None and not finder.finished and finder.examined < target:
            # The greatest one of a batch comes first, so that a batch should not be too small.
            finder.advance(index, min(32, photos))
            found = finder.take(decided.__contains__)
        return found

    def decide(
        self,
        index: Index,
        photo: PhotoDetails,
        caption: str,
        outcome: Literal["accepted", "corrected"],
    ) -> Decision:
        """Store a caption as the person's.

        Parameters
        ----------
        outcome
            Whether it is a model's sentence, or the person's own.

        Raises
        ------
        UsageError
            If it is empty.
        """
        if not caption.strip():
            raise UsageError("the caption is empty.", "Write a caption, or skip the photo.")
        with self._lock:
            current = index.current_caption(photo.path)
            before = current.text if current and current.by_person else ""
            index.set_caption(photo.path, caption)
            stored = index.current_caption(photo.path)
            text = stored.text if stored else caption
            decision = Decision(photo.id, photo.path, outcome, text, before)
            self._decisions.append(decision)
        return decision

    def skip(self, photo: PhotoDetails) -> Decision:
        """Leave a photo as it is, and do not ask about it again in this session."""
        decision = Decision(photo.id, photo.path, "skipped")
        with self._lock:
            self._decisions.append(decision)
        return decision

    def undo(self, index: Index) -> Decision | None:
        """Take the last decision back; None if there is none.

        A caption that was changed since then stays.
        """
        with self._lock:
            if not self._decisions:
                return None
            decision = self._decisions.pop()
            if decision.outcome != "skipped":
                current = index.current_caption(decision.path)
                if current and current.by_person and current.text == decision.caption:
                    index.set_caption(decision.path, decision.before)
        return decision
