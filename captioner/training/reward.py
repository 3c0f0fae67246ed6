"""CIDEr-D: how much a sentence says what people said of a photo, in words that tell photos apart.

Vedantam, Lawrence Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (2015),
section 7. Sentences are vectors of their n-grams, one to four words long, the rarer the heavier;
likeness is the cosine, each n-gram counted no more often than the reference has it, and less the
more the lengths differ. `captioner.training.metrics` measures a split as a whole by the same
formula; this one scores sentences of single photos, thousands a second, against fixed weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, log, sqrt

Words = Sequence[str]
Ngram = tuple[str, ...]

LONGEST = 4
"""Words of the longest n-grams."""
SIGMA = 6.0
"""Of the Gaussian over the difference in length, words."""


class CiderD:
    """Scores against references, the n-grams weighted by how few photos' references have them.

    Parameters
    ----------
    photos
        The references of each training photo, as lists of words; an end mark is a word like others.
    """

    def __init__(self, photos: Iterable[Sequence[Words]]) -> None:
        documents: Counter[Ngram] = Counter()
        count = 0
        for references in photos:
            documents.update({ngram for words in references for ngram in _ngrams(words)})
            count += 1
        self._unheard = log(max(1, count))
        self._weights = {ngram: self._unheard - log(n) for ngram, n in documents.items()}

    def __call__(self, sentences: Sequence[Words], references: Sequence[Words]) -> list[float]:
        """Of each sentence about one photo, 10 at most; 1 is what papers print as 100."""
        heard = [(len(words), *self._vector(words)) for words in references]
        scores = []
        for words in sentences:
            said, lengths = self._vector(words)
            likeness = 0.0
            for size, meant, others in heard:
                products = [0.0] * LONGEST
                for ngram, weight in said.items():
                    if other := meant.get(ngram):
                        products[len(ngram) - 1] += min(weight, other) * other
                cosines = sum(
                    product / (own * other)
                    for product, own, other in zip(products, lengths, others, strict=True)
                    if product
                )
                likeness += cosines * exp(-((len(words) - size) ** 2) / (2 * SIGMA**2))
            scores.append(10 * likeness / (LONGEST * len(heard)))
        return scores

    def _vector(self, words: Words) -> tuple[dict[Ngram, float], list[float]]:
        """The weighted n-grams, and the vector's length for each size of n-gram."""
        vector = {
            ngram: count * self._weights.get(ngram, self._unheard)
            for ngram, count in _ngrams(words).items()
        }
        squares = [0.0] * LONGEST
        for ngram, weight in vector.items():
            squares[len(ngram) - 1] += weight * weight
        return vector, [sqrt(square) for square in squares]


def _ngrams(words: Words) -> Counter[Ngram]:
    return Counter(
        tuple(words[first : first + size])
        for size in range(1, LONGEST + 1)
        for first in range(len(words) - size + 1)
    )
