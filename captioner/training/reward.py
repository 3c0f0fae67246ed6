"""CIDEr-D of single captions: the reward of self-critical training.

Vedantam, Lawrence Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (2015),
section 7. A caption is a TF-IDF vector of its n-grams, n from 1 to 4; the similarity to a reference
is the cosine, each n-gram counted no more often than in the reference, times a Gaussian of the
difference in length. `captioner.training.metrics` measures a whole split by the same formula; this
one scores captions of single photos, thousands a second, with fixed document frequencies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, log, sqrt

Words = Sequence[str]
Ngram = tuple[str, ...]

MAX_N = 4
"""Words in the longest n-grams."""
SIGMA = 6.0
"""Standard deviation of the Gaussian over the difference in length, words."""


class CiderD:
    """CIDEr-D scorer whose document frequencies come from the references of the training photos.

    Parameters
    ----------
    photos
        The references of each training photo, as lists of words, the end token included.
    """

    def __init__(self, photos: Iterable[Sequence[Words]]) -> None:
        documents: Counter[Ngram] = Counter()
        count = 0
        for references in photos:
            documents.update({ngram for words in references for ngram in _ngrams(words)})
            count += 1
        self._unseen_weight = log(max(1, count))
        self._weights = {ngram: self._unseen_weight - log(n) for ngram, n in documents.items()}

    def __call__(self, sentences: Sequence[Words], references: Sequence[Words]) -> list[float]:
        """Score of each caption of one photo, 0 to 10; 1 is what papers print as 100."""
        targets = [(len(words), *self._vector(words)) for words in references]
        scores = []
        for words in sentences:
            vector, lengths = self._vector(words)
            similarity = 0.0
            for size, reference, others in targets:
                products = [0.0] * MAX_N
                for ngram, weight in vector.items():
                    if other := reference.get(ngram):
                        products[len(ngram) - 1] += min(weight, other) * other
                cosines = sum(
                    product / (own * other)
                    for product, own, other in zip(products, lengths, others, strict=True)
                    if product
                )
                similarity += cosines * exp(-((len(words) - size) ** 2) / (2 * SIGMA**2))
            scores.append(10 * similarity / (MAX_N * len(targets)))
        return scores

    def _vector(self, words: Words) -> tuple[dict[Ngram, float], list[float]]:
        """TF-IDF of the n-grams, and the vector's norm for each n."""
        vector = {
            ngram: count * self._weights.get(ngram, self._unseen_weight)
            for ngram, count in _ngrams(words).items()
        }
        squared_norms = [0.0] * MAX_N
        for ngram, weight in vector.items():
            squared_norms[len(ngram) - 1] += weight * weight
        return vector, [sqrt(norm) for norm in squared_norms]


def _ngrams(words: Words) -> Counter[Ngram]:
    return Counter(
        tuple(words[first : first + size])
        for size in range(1, MAX_N + 1)
        for first in range(len(words) - size + 1)
    )
