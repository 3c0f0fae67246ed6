"""Beam search: the most probable sentences for each photo, all photos and hypotheses at once.

Every photo has as many slots as the beam is wide. At each step the best continuations of its
hypotheses, by log-probability, take the slots; one that ends its sentence keeps its slot. So a beam
width of one is greedy search, every beam ends as one sentence, and the work shrinks as sentences
end. Sentences of different lengths are compared by log-probability / length ** length_penalty, as
by Wu et al., "Google's Neural Machine Translation System", 2016, section 7, but with the length
itself as the base.

`sample` draws random sentences instead, for training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner.model.decoders.interface import IntArray, Stepper
from captioner.model.vocabulary import END, PAD, START, UNKNOWN
from captioner.types import Features, FloatArray

DoubleArray = npt.NDArray[np.float64]

BANNED_TOKENS = [PAD, START, UNKNOWN]
"""Tokens that are never generated."""

HYPOTHESES_PER_STEP = 1024
"""Enough for large matrix products, few enough for the CPU's caches."""

FEATURE_MAPS_PER_STEP = 64
"""Photos at once where decoders read feature maps, which take half a megabyte and more each."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A finished hypothesis."""

    tokens: tuple[int, ...]
    """Its words, without START and END; at least one."""
    log_probability: float
    """Natural logarithm of its probability, END included."""
    score: float
    """`log_probability / length ** length_penalty`, the length with END."""


def search(
    stepper: Stepper,
    features: Features,
    *,
    beam_width: int,
    shortlist: IntArray | None = None,
    max_length: int = 20,
    length_penalty: float = 0.7,
    start: int = START,
) -> list[list[Sentence]]:
    """The best sentences for each photo.

    PAD, START and UNKNOWN are never generated, no word comes twice in a row, and no sentence is
    empty. One of `max_length` words ends there, with the probability that the decoder gives to END.

    Parameters
    ----------
    features
        Of N photos.
    beam_width
        Hypotheses per photo, at least 1.
    shortlist
        (N, K): tokens that may be generated for each photo, END first, without other special
        tokens; None for the whole vocabulary.
    max_length
        Words in a sentence, at most.
    length_penalty
        Exponent of the length in the score: 0 favours short sentences, 1 takes the mean over words.
    start
        The token that sentences begin with: START, or that of another style of captions.

    Returns
    -------
    For each photo `beam_width` different sentences, best score first; fewer only where the decoder
    gives no more of them a probability above 0.
    """
    size = _photos_per_batch(features, beam_width)
    return [
        sentences
        for first in range(0, len(features), size)
        for sentences in _search(
            stepper,
            features[first : first + size],
            None if shortlist is None else shortlist[first : first + size],
            beam_width,
            max_length,
            length_penalty,
            start,
        )
    ]


def _search(
    stepper: Stepper,
    features: Features,
    shortlist: IntArray | None,
    beam_width: int,
    max_length: int,
    length_penalty: float,
    start: int,
) -> list[list[Sentence]]:
    photos, states = stepper.start(features, shortlist)
    banned, end = (BANNED_TOKENS, END) if shortlist is None else ([], 0)
    found: list[list[Sentence]] = [[] for _ in range(len(features))]
    slots = np.full(len(features), beam_width)
    # The live hypotheses (R,), those of one photo adjacent and best first, and their tokens (R, T).
    rows = np.arange(len(features))
    tokens = np.full((len(features), 1), start)
    last = np.full(len(features), end)
    log_p: DoubleArray = np.zeros(len(features))

    for length in range(1, max_length + 2):
        p, states = stepper.step(photos, rows, states, tokens[:, -1])
        # The columns of p are tokens, or positions in the shortlist; so are `last` and `end`.
        p[:, banned] = 0
        p[np.arange(len(p)), last] = 0  # not the last word again, nor END before the first word
        if length > max_length:
            p[:, :end] = 0
            p[:, end + 1 :] = 0
        each = beam_width if length == 1 else 1
        parent, last, log_p = _best(p, rows, log_p, slots, each=each)

        ends = last == end
        for source, total in zip(parent[ends], log_p[ends].tolist(), strict=True):
            words = tuple(tokens[source, 1:].tolist())
            found[rows[source]].append(Sentence(words, total, total / length**length_penalty))
            slots[rows[source]] -= 1
        parent, last, log_p = parent[~ends], last[~ends], log_p[~ends]
        if not len(parent):
            break
        rows, states = rows[parent], states[parent]
        word = last if shortlist is None else shortlist[rows, last]
        tokens = np.concatenate([tokens[parent], word[:, None]], axis=1)
    return [sorted(sentences, key=lambda s: s.score, reverse=True) for sentences in found]


def sample(
    stepper: Stepper,
    features: Features,
    *,
    samples: int,
    start: IntArray | int = START,
    max_length: int = 20,
    inverse_temperature: float = 1.0,
    top_p: float = 1.0,
    random: np.random.Generator,
) -> npt.NDArray[np.int32]:
    """Random sentences, sampled word by word from the decoder's probabilities.

    The rules of `search` hold, except that a sentence of `max_length` words may have no END.

    Parameters
    ----------
    features
        Of N photos.
    samples
        Sentences per photo; they may be equal.
    start
        The token that sentences begin with, or one for each photo (N,).
    max_length
        Words in a sentence, at most.
    inverse_temperature
        Exponent of the probabilities: above 1, unlikely words become rarer.
    top_p
        Each word is one of the most probable ones whose probabilities first sum to this, 0 to 1:
        nucleus sampling (Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020).

    Returns
    -------
    The start token, words, END and PAD, int32 (N, samples, max_length + 2).
    """
    out = np.full((len(features), samples, max_length + 2), PAD, np.int32)
    out[..., 0] = np.reshape(start, (-1, 1))
    size = _photos_per_batch(features, samples)
    for first in range(0, len(features), size):
        part = slice(first, first + size)
        rows = out[part].reshape(-1, max_length + 2)
        _sample(stepper, features[part], rows, inverse_temperature, top_p, random)
    return out


def _photos_per_batch(features: Features, hypotheses: int) -> int:
    """Photos that are decoded at once, each with that many hypotheses."""
    size = max(1, HYPOTHESES_PER_STEP // hypotheses)
    return size if features.grid is None else min(size, FEATURE_MAPS_PER_STEP)


def _sample(
    stepper: Stepper,
    features: Features,
    tokens: npt.NDArray[np.int32],
    inverse_temperature: float,
    top_p: float,
    random: np.random.Generator,
) -> None:
    """Continue the rows (R, T) after START, in place; each photo has the same number of rows."""
    photos, states = stepper.start(features, None)
    each = len(tokens) // max(1, len(features))
    live = np.arange(len(tokens))
    photo, states = np.repeat(np.arange(len(features)), each), np.repeat(states, each, axis=0)
    for position in range(1, tokens.shape[1]):
        last = tokens[live, position - 1].astype(np.intp)
        p, states = stepper.step(photos, photo[live], states, last)
        p[:, BANNED_TOKENS] = 0
        p[np.arange(len(p)), last] = 0
        if position == 1:
            p[:, END] = 0
        np.power(p, np.float32(inverse_temperature), out=p)
        if top_p < 1:
            _keep_nucleus(p, top_p)
        np.cumsum(p, axis=1, out=p)
        # A little below 1, so that rounding does not reach past the last word.
        point = p[:, -1:] * (random.random((len(p), 1), np.float32) * np.float32(1 - 1e-6))
        word = np.argmax(p > point, axis=1)
        if position == tokens.shape[1] - 1:  # the last position is for END only
            word[word != END] = PAD
        tokens[live, position] = word
        goes_on = word > END
        live, states = live[goes_on], states[goes_on]
        if not len(live):
            break


def _keep_nucleus(p: FloatArray, top_p: float) -> None:
    """Set all but the most probable words of each row (R, V) to 0, in place."""
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked  # the sum of those that are more probable
    ranked[before >= np.float32(top_p) * ranked.sum(axis=1, keepdims=True)] = 0
    np.put_along_axis(p, order, ranked, axis=1)


def _best(
    p: FloatArray, rows: IntArray, log_p: DoubleArray, slots: IntArray, each: int
) -> tuple[IntArray, IntArray, DoubleArray]:
    """The continuations that take the slots.

    Only a few of the R × V are sorted: where every hypothesis of a photo has `each` continuations
    at or above some log-probability, and these are enough to fill the slots, no other continuation
    below it can take one.

    Returns
    -------
    Parent, word and log-probability of each, those of one photo adjacent and best first; of equal
    ones the better parent's first, then the lower word.
    """
    photos, starts, counts = np.unique(rows, return_index=True, return_counts=True)
    each = min(each, p.shape[1])
    lowest = p.max(axis=1) if each == 1 else np.partition(p, -each, axis=1)[:, -each]
    with np.errstate(divide="ignore"):
        floor = np.minimum.reduceat(log_p + np.log(lowest, dtype=np.float64), starts)
    floor[counts * each < slots[photos]] = -np.inf
    # As a probability after each hypothesis; a little lower, so that rounding does not lose the
    # continuation that set the floor.
    threshold = np.exp(np.repeat(floor, counts) - log_p) * (1 - 1e-6)
    threshold = np.maximum(threshold, np.finfo(np.float32).tiny).astype(np.float32)
    taken = np.flatnonzero(p >= threshold[:, None])
    parent, word = np.divmod(taken, p.shape[1])
    total = log_p[parent] + np.log(p.reshape(-1)[taken], dtype=np.float64)
    order = np.lexsort((-total, rows[parent]))
    photo = rows[parent[order]]
    rank = np.arange(len(order)) - np.searchsorted(photo, photo)
    order = order[rank < slots[photo]]
    return parent[order], word[order], total[order]
