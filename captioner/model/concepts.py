"""Concepts: what 1,000 classes of things are called, so that words of a query find their rows.

The word head knows the words of captions. Its further rows are things that captions seldom name,
the classes of ImageNet, and WordNet says what each of them is: an airliner is an airplane, and a
vehicle. NumPy alone, so that searching needs no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from captioner.model.heads import log_probability
from captioner.model.hypernyms import members
from captioner.model.vocabulary import stem, words
from captioner.types import FloatArray, Keyword

CONCEPT_PROBABILITY = 0.3
"""A concept less likely than this is no keyword."""

_LONGEST = 4
"""Words of the longest name that is looked for in a query: "old english sheep dog"."""
_PART = 3
"""Letters that a word has at least which stands for all the names that it is part of."""
_VERBAL = ("ing", "ed")
"""Endings of words that share a stem with a thing but do not name it: flying is not a fly."""


class Term(NamedTuple):
    """One or more words of a query that mean one thing together."""

    words: tuple[str, ...]
    rows: tuple[int, ...]
    """What such a thing may be, in the fewest rows: concepts, and kinds numbered on after them."""


class Concepts:
    """The table of a bundle's `concepts.json`; `captioner.training.wordnet` says what is in it.

    Parameters
    ----------
    table
        `concepts`, in the order of the rows, and `kinds`, what they are, each after its children.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        concepts, kinds = table["concepts"], table["kinds"]
        self._entries = [*concepts, *kinds]
        self._rows = [*({row} for row in range(len(concepts))), *members(table)]
        self._count = len(concepts)

    @property
    def kinds(self) -> FloatArray:
        """(concepts, kinds): 1 where the concept is of the kind."""
        return self._members_of(range(self._count, len(self._entries)))

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> list[str]:
        """What each row is called where it is shown."""
        return [concept["name"] for concept in self._entries[: self._count]]

    def expand(self, name: str) -> list[int]:
        """The rows of the concepts that a word, or a name of several words, may mean.

        By their names, by synonyms, and by what they are: "dog" means 118 breeds. Spaces and
        hyphens do not matter, nor does the plural. Where nothing has that name, a word stands for
        the concepts that have it in theirs: "toilet" for the toilet seat.
        """
        asked = words(name)
        return sorted(set(self.named(name)) or self._having(asked))

    def named(self, name: str) -> list[int]:
        """The rows of the concepts that have this name, or are of a kind that has it."""
        entries = self._named(words(name))
        return sorted(set().union(*(self._rows[entry] for entry in entries)))

    def terms(self, query: str, known: Callable[[str], bool] = lambda word: False) -> list[Term]:
        """A query cut into names of several words, the longest first, and single words.

        Parameters
        ----------
        known
            Whether a word that names no concept is known otherwise: "snow" is then no snow leopard.
        """
        asked = words(query)
        if len(asked) == 1:
            found = self._widest(self._named(asked))
            if not found and not known(asked[0]):
                found = tuple(sorted(self._having(asked)))
            return [Term((asked[0],), found)]
        out: list[Term] = []
        at = 0
        while at < len(asked):
            end = min(at + _LONGEST, len(asked))
            while end > at + 1 and not self._named(asked[at:end]):
                end -= 1
            taken = asked[at:end]
            out.append(Term(tuple(taken), self._widest(self._named(taken))))
            at = end
        return out

    def _widest(self, entries: set[int]) -> tuple[int, ...]:
        """Without entries that stand below others: a bear is no less one for being brown."""
        below = {e for e in entries if any(self._rows[e] < self._rows[other] for other in entries)}
        return tuple(sorted(entries - below))

    def _having(self, asked: Sequence[str]) -> set[int]:
        """Concepts in whose shown names a single word stands."""
        alone = len(asked) == 1 and len(asked[0]) >= _PART
        return self._parts.get(asked[0], set()) if alone else set()

    def keywords(
        self,
        probability: FloatArray,
        words_of: Sequence[Sequence[Keyword]],
        count: int,
        least: float = CONCEPT_PROBABILITY,
    ) -> list[tuple[Keyword, ...]]:
        """Concepts and caption words of each photo, most probable first.

        Where a photo shows a thing of some kind but no concept of the kind is likely enough, the
        narrowest likely kind is named: a dog whose breed is open is a dog. What a caption word
        says already is not said again.

        Parameters
        ----------
        probability
            (N, concepts).
        words_of
            For each photo the word head's keywords.
        count
            Keywords a photo gets at most.
        """
        nothing = np.log1p(-np.minimum(probability, 1 - 1e-6)) @ self._members
        kinds = -np.expm1(nothing)
        out = []
        for row, said in enumerate(words_of):
            found = self._seen(probability[row], kinds[row], least)
            known = {stem(keyword.word) for keyword in said}
            new = [keyword for entry, keyword in found if not known & self._single(entry)]
            new = list({keyword.word: keyword for keyword in reversed(new)}.values())
            both = sorted([*said, *new], key=lambda keyword: -keyword.probability)
            out.append(tuple(both[:count]))
        return out

    def _seen(
        self, concepts: FloatArray, kinds: FloatArray, least: float
    ) -> Iterator[tuple[int, Keyword]]:
        """Likely concepts, then likely kinds of which nothing narrower was named."""
        named: set[int] = set()
        for row in np.flatnonzero(concepts >= least):
            named.add(int(row))
            yield int(row), self._keyword(int(row), concepts[row])
        for column in np.flatnonzero(kinds >= least):
            entry = self._shown_kinds[column]
            if not named & self._rows[entry]:
                named |= self._rows[entry]
                yield entry, self._keyword(entry, kinds[column])

    def _keyword(self, entry: int, probability: np.float32) -> Keyword:
        return Keyword(self._entries[entry]["name"], round(float(probability), 4))

    def _single(self, entry: int) -> set[str]:
        """Stems of the entry's names of one word."""
        names = [self._entries[entry]["name"], *self._entries[entry]["names"]]
        return {stem(name.lower()) for name in names if len(words(name)) == 1}

    def _named(self, asked: Sequence[str]) -> set[int]:
        """Entries that have the name."""
        for form in _singulars("".join(asked).replace("-", "")):
            if form in self._meaning:
                return self._meaning[form]
        if not asked or asked[-1].endswith(_VERBAL):
            return set()
        return self._by_stem("".join(asked))

    def _by_stem(self, asked: str) -> set[int]:
        # A stem begins as its word does: only names that begin alike are worth stemming.
        wanted = stem(asked)
        alike = self._beginning.get(asked[:3], ())
        return set().union(*(self._meaning[name] for name in alike if stem(name) == wanted))

    @cached_property
    def _beginning(self) -> dict[str, list[str]]:
        """Names by their first three letters."""
        out: dict[str, list[str]] = {}
        for name in self._meaning:
            out.setdefault(name[:3], []).append(name)
        return out

    @cached_property
    def _meaning(self) -> dict[str, set[int]]:
        """Names, written as one word, and the entries that each means."""
        out: dict[str, set[int]] = {}
        for number, entry in enumerate(self._entries):
            for name in entry["names"]:
                out.setdefault("".join(words(name)).replace("-", ""), set()).add(number)
        return out

    @cached_property
    def _parts(self) -> dict[str, set[int]]:
        """Words within the names that concepts are shown by, and the rows of these."""
        out: dict[str, set[int]] = {}
        for row, name in enumerate(self.names):
            for word in words(name):
                out.setdefault(word, set()).add(row)
        return out

    @cached_property
    def _shown_kinds(self) -> list[int]:
        """Entries of the kinds that may be keywords, narrow ones first."""
        kinds = range(self._count, len(self._entries))
        return sorted(
            (kind for kind in kinds if "name" in self._entries[kind]),
            key=lambda kind: len(self._rows[kind]),
        )

    @cached_property
    def _members(self) -> FloatArray:
        return self._members_of(self._shown_kinds)

    def _members_of(self, entries: Sequence[int]) -> FloatArray:
        """(concepts, entries): 1 where the concept is of the entry."""
        out = np.zeros((self._count, len(entries)), np.float32)
        for column, entry in enumerate(entries):
            out[list(self._rows[entry]), column] = 1
        return out


def log_any(logits: FloatArray) -> FloatArray:
    """Log of the probability that at least one of several independent things is there.

    Parameters
    ----------
    logits
        (N, things), at least one thing.

    Returns
    -------
    (N,): log(1 - Π (1 - p)), exact where all p are tiny.
    """
    none = log_probability(-logits).sum(axis=1)
    return np.log(np.maximum(-np.expm1(none), np.finfo(np.float32).tiny)).astype(np.float32)


def _singulars(word: str) -> Iterator[str]:
    """The word, and what it may be the plural of."""
    yield word
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("ies"):
        yield word[:-3] + "y"
