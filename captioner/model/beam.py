"""Beam search: the most probable sentences about each photo, all photos and beams at once.

Every photo has as many slots as there are beams. At each step the best continuations of its
hypotheses, by their log-probability, take the slots; one that ends its sentence takes its slot with
it. So one beam is greedy search, every beam ends as one sentence, and the work shrinks as sentences
end. Sentences of different lengths are compared by log-probability / length ** exponent (Wu et al.,
"Google's Neural Machine Translation System", 2016, section 7, with length itself as the penalty).

Beside it, sentences at random, for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from captioner.model.decoder import ROOT, IntArray
from captioner.model.vocabulary import END, PAD, START, UNKNOWN
from captioner.types import FloatArray

DoubleArray = npt.NDArray[np.float64]
Batch = TypeVar("Batch")

UNSAID = [PAD, START, UNKNOWN]
"""Tokens that are no words."""

ROWS = 1024
"""Hypotheses to step at once: enough for large products, few enough for the caches."""


class Decoder(Protocol[Batch]):
    """What the search asks of a decoder; `captioner.model.decoder.MergeDecoder` is one."""

    def start(self, features: FloatArray, words: IntArray | None) -> Batch:
        """Look at photos with features (N, D), of which only `words` (N, K) may be said."""
        ...

    def step(
        self, batch: Batch, rows: IntArray, prefixes: IntArray, tokens: IntArray
    ) -> tuple[FloatArray, IntArray]:
        """Read one word more in each of R hypotheses, as `MergeDecoder.step` does.

        Returns probabilities (R, V) or (R, K), which the search changes in place, and prefixes
        (R,).
        """
        ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """A finished hypothesis."""

    tokens: tuple[int, ...]
    """Its words, without START and END; at least one."""
    log_probability: float
    """Natural logarithm of its probability, END included."""
    score: float
    """`log_probability / length ** exponent`, the length with END."""


def search(
    decoder: Decoder[Batch],
    features: FloatArray,
    *,
    beams: int,
    words: IntArray | None = None,
    longest: int = 20,
    exponent: float = 0.7,
) -> list[list[Sentence]]:
    """The best sentences about each photo.

    PAD, START and UNKNOWN are never said, no word twice in a row, and no sentence is empty; where
    the longest one has not ended, END is appended with the probability that the decoder gives it.

    Parameters
    ----------
    features
        float32 (N, D), whatever the decoder looks at.
    beams
        Hypotheses kept a photo, at least 1.
    words
        Tokens that may be said of each photo (N, K), END first, without other marks; every word
        for None.
    longest
        Words that a sentence may have.
    exponent
        Of the length in the score: 0 favours short sentences, 1 takes the mean over words.

    Returns
    -------
    For each photo as many different sentences as beams, best score first; fewer only where the
    decoder has no more of any probability.
    """
    size = max(1, ROWS // beams)
    return [
        sentences
        for first in range(0, len(features), size)
        for sentences in _search(
            decoder,
            features[first : first + size],
            None if words is None else words[first : first + size],
            beams,
            longest,
            exponent,
        )
    ]


def _search(
    decoder: Decoder[Batch],
    features: FloatArray,
    words: IntArray | None,
    beams: int,
    longest: int,
    exponent: float,
) -> list[list[Sentence]]:
    batch = decoder.start(features, words)
    marks, end = (UNSAID, END) if words is None else ([], 0)
    found: list[list[Sentence]] = [[] for _ in features]
    slots = np.full(len(features), beams)
    # The live hypotheses (R,), those of one photo together and best first, and their words (R, T).
    rows = np.arange(len(features))
    prefixes = np.full(len(features), ROOT)
    said = np.full((len(features), 1), START)
    last = np.full(len(features), end)
    log_p: DoubleArray = np.zeros(len(features))

    for length in range(1, longest + 2):
        p, prefixes = decoder.step(batch, rows, prefixes, said[:, -1])
        # What follows is in columns of p: words themselves, or numbers among a photo's words.
        p[:, marks] = 0
        p[np.arange(len(p)), last] = 0  # not the word just said, nor an end before the first
        if length > longest:
            p[:, :end] = 0
            p[:, end + 1 :] = 0
        parent, last, log_p = _best(p, rows, log_p, slots, each=beams if length == 1 else 1)

        ends = last == end
        for source, total in zip(parent[ends], log_p[ends].tolist(), strict=True):
            tokens = tuple(said[source, 1:].tolist())
            found[rows[source]].append(Sentence(tokens, total, total / length**exponent))
            slots[rows[source]] -= 1
        parent, last, log_p = parent[~ends], last[~ends], log_p[~ends]
        if not len(parent):
            break
        rows, prefixes = rows[parent], prefixes[parent]
        word = last if words is None else words[rows, last]
        said = np.concatenate([said[parent], word[:, None]], axis=1)
    return [sorted(sentences, key=lambda s: s.score, reverse=True) for sentences in found]


def sample(
    decoder: Decoder[Batch],
    features: FloatArray,
    *,
    each: int,
    longest: int = 20,
    sharpness: float = 1.0,
    random: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Sentences drawn at random, word by word, as probable as the decoder finds each.

    They keep the rules of `search`, but for the last: one that has not ended after the longest is
    left without END.

    Parameters
    ----------
    features
        float32 (N, D), whatever the decoder looks at.
    each
        Sentences a photo; the same one may come twice.
    longest
        Words that a sentence may have.
    sharpness
        To what power the probabilities are taken: above 1, unlikely words come less often.

    Returns
    -------
    START, words, END and PAD, int32 (N, each, longest + 2).
    """
    said = np.full((len(features), each, longest + 2), PAD, np.int32)
    said[..., 0] = START
    size = max(1, ROWS // each)
    for first in range(0, len(features), size):
        part = slice(first, first + size)
        rows = said[part].reshape(-1, longest + 2)
        _sample(decoder, features[part], rows, sharpness, random)
    return said


def _sample(
    decoder: Decoder[Batch],
    features: FloatArray,
    said: npt.NDArray[np.int32],
    sharpness: float,
    random: np.random.Generator,
) -> None:
    """Go on from START in rows (R, T), as many for each photo, in place."""
    batch = decoder.start(features, None)
    live = np.arange(len(said))
    photo = np.repeat(np.arange(len(features)), len(said) // max(1, len(features)))
    prefixes = np.full(len(said), ROOT)
    for place in range(1, said.shape[1]):
        last_words = said[live, place - 1].astype(np.intp)
        p, prefixes = decoder.step(batch, photo[live], prefixes, last_words)
        p[:, UNSAID] = 0
        p[np.arange(len(p)), last_words] = 0
        if place == 1:
            p[:, END] = 0
        np.power(p, np.float32(sharpness), out=p)
        np.cumsum(p, axis=1, out=p)
        # A little below 1, lest rounding reach past the last word.
        point = p[:, -1:] * (random.random((len(p), 1), np.float32) * np.float32(1 - 1e-6))
        word = np.argmax(p > point, axis=1)
        if place == said.shape[1] - 1:  # no room for a word, only for the end
            word[word != END] = PAD
        said[live, place] = word
        goes_on = word > END
        live, prefixes = live[goes_on], prefixes[goes_on]
        if not len(live):
            break


def _best(
    p: FloatArray, rows: IntArray, log_p: DoubleArray, slots: IntArray, each: int
) -> tuple[IntArray, IntArray, DoubleArray]:
    """The continuations that take the slots.

    It looks closely at few of the R × V: where every hypothesis of a photo has `each` continuations
    at or above some log-probability, and these are enough to fill the slots, no other continuation
    below it can take one.

    Returns
    -------
    Parent, word and log-probability of each, those of one photo together and best first; of equal
    ones the better parent's, then the lower word.
    """
    photos, starts, counts = np.unique(rows, return_index=True, return_counts=True)
    each = min(each, p.shape[1])
    sure = p.max(axis=1) if each == 1 else np.partition(p, -each, axis=1)[:, -each]
    with np.errstate(divide="ignore"):
        floor = np.minimum.reduceat(log_p + np.log(sure, dtype=np.float64), starts)
    floor[counts * each < slots[photos]] = -np.inf
    # As a probability after each hypothesis; a little lower, lest rounding lose the floor itself.
    least = np.exp(np.repeat(floor, counts) - log_p) * (1 - 1e-6)
    least = np.maximum(least, np.finfo(np.float32).tiny).astype(np.float32)
    taken = np.flatnonzero(p >= least[:, None])
    parent, word = np.divmod(taken, p.shape[1])
    total = log_p[parent] + np.log(p.reshape(-1)[taken], dtype=np.float64)
    order = np.lexsort((-total, rows[parent]))
    photo = rows[parent[order]]
    place = np.arange(len(order)) - np.searchsorted(photo, photo)
    order = order[place < slots[photo]]
    return parent[order], word[order], total[order]
