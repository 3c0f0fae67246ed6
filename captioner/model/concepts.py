"""Concepts: the names of 1,000 classes and of their hypernyms, for queries and keywords.

The word head knows the words of captions. Its further columns are things that captions seldom name,
the classes of ImageNet, and WordNet gives the hypernyms of each: an airliner is an airplane, and a
vehicle. NumPy alone, so that searching needs no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from captioner.keywords import keyword_order
from captioner.model.heads import log_probability
from captioner.model.hypernyms import concepts_below
from captioner.model.vocabulary import stem, words
from captioner.types import FloatArray, Keyword

CONCEPT_PROBABILITY = 0.4
"""Concepts less probable than this are not shown as keywords."""

_MAX_NAME_LENGTH = 4
"""Words of the longest name that is looked up in a query: "old english sheep dog"."""
_MIN_PART_LENGTH = 3
"""Letters of the shortest word that is looked up as a part of names."""
_VERB_ENDINGS = ("ing", "ed")
"""Of words that share a stem with a thing but do not name it: flying is not a fly."""


class Term(NamedTuple):
    """One or more words of a query that name one thing together."""

    words: tuple[str, ...]
    rows: tuple[int, ...]
    """What they may mean, in the fewest rows: concepts, and hypernyms, numbered after them."""


class Concepts:
    """The concepts of a bundle's `concepts.json`; `captioner.training.wordnet` documents the file.

    Parameters
    ----------
    table
        `concepts`, in the order of the rows, and `kinds`, their hypernyms, each after its hyponyms.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        concepts, hypernyms = table["concepts"], table["kinds"]
        self._entries = [*concepts, *hypernyms]
        self._rows = [*({row} for row in range(len(concepts))), *concepts_below(table)]
        """Of each entry, the concepts that are it."""
        self._count = len(concepts)

    @property
    def hypernyms(self) -> FloatArray:
        """Membership matrix (concepts, hypernyms): 1 where the concept has the hypernym."""
        return self._membership_of(range(self._count, len(self._entries)))

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> list[str]:
        """The display name of each concept."""
        return [concept["name"] for concept in self._entries[: self._count]]

    def expand(self, name: str) -> list[int]:
        """The rows of the concepts that a name of one or more words may mean.

        By their names, by synonyms, and by hypernyms: "dog" means 118 breeds. Spaces, hyphens and
        the plural do not matter. A word that is no name means the concepts that have it in
        their names: "toilet" the toilet seat.
        """
        return sorted(set(self.named(name)) or self._with_part(words(name)))

    def named(self, name: str) -> list[int]:
        """The rows of the concepts that have this name, or a hypernym that has it."""
        entries = self._named(words(name))
        return sorted(set().union(*(self._rows[entry] for entry in entries)))

    def terms(self, query: str, known: Callable[[str], bool] = lambda word: False) -> list[Term]:
        """A query split into names of several words, longest match first, and single words.

        Parameters
        ----------
        known
            Whether a word that names no concept is known otherwise: "snow" does not mean the snow
            leopard then.
        """
        tokens = words(query)
        if len(tokens) == 1:
            found = self._most_general(self._named(tokens))
            if not found and not known(tokens[0]):
                found = tuple(sorted(self._with_part(tokens)))
            return [Term((tokens[0],), found)]
        out: list[Term] = []
        start = 0
        while start < len(tokens):
            end = min(start + _MAX_NAME_LENGTH, len(tokens))
            while end > start + 1 and not self._named(tokens[start:end]):
                end -= 1
            name = tokens[start:end]
            out.append(Term(tuple(name), self._most_general(self._named(name))))
            start = end
        return out

    def _most_general(self, entries: set[int]) -> tuple[int, ...]:
        """Entries without those that have another one as a hypernym."""
        below = {e for e in entries if any(self._rows[e] < self._rows[other] for other in entries)}
        return tuple(sorted(entries - below))

    def _with_part(self, tokens: Sequence[str]) -> set[int]:
        """Concepts that have a single word in their display names."""
        alone = len(tokens) == 1 and len(tokens[0]) >= _MIN_PART_LENGTH
        return self._parts.get(tokens[0], set()) if alone else set()

    def keywords(
        self,
        probability: FloatArray,
        words_of: Sequence[Sequence[Keyword]],
        count: int,
        threshold: float = CONCEPT_PROBABILITY,
    ) -> list[tuple[Keyword, ...]]:
        """Keywords of each photo, from concepts and caption words: things before actions, each most
        probable first.

        If no concept below a hypernym is probable enough but one of them has to be, the most
        specific such hypernym is a keyword: "dog" where the breed is uncertain. A concept is left
        out where a caption word names it already.

        Parameters
        ----------
        probability
            (N, concepts).
        words_of
            For each photo the word head's keywords.
        count
            Keywords per photo, at most.
        threshold
            Probability that a concept or a hypernym needs.
        """
        none = np.log1p(-np.minimum(probability, 1 - 1e-6)) @ self._membership
        hypernyms = -np.expm1(none)
        out = []
        for row, from_captions in enumerate(words_of):
            found = self._probable(probability[row], hypernyms[row], threshold)
            known = {stem(keyword.word) for keyword in from_captions}
            new = [keyword for entry, keyword in found if not known & self._single_stems(entry)]
            new = list({keyword.word: keyword for keyword in reversed(new)}.values())
            both = sorted([*from_captions, *new], key=lambda one: -one.probability)
            both = sorted(both[:count], key=lambda one: keyword_order(one.word, one.probability))
            out.append(tuple(both))
        return out

    def _probable(
        self, concepts: FloatArray, hypernyms: FloatArray, threshold: float
    ) -> Iterator[tuple[int, Keyword]]:
        """Probable concepts, then probable hypernyms of which nothing more specific was found."""
        named: set[int] = set()
        for row in np.flatnonzero(concepts >= threshold):
            named.add(int(row))
            yield int(row), self._keyword(int(row), concepts[row])
        for column in np.flatnonzero(hypernyms >= threshold):
            entry = self._display_hypernyms[column]
            if not named & self._rows[entry]:
                named |= self._rows[entry]
                yield entry, self._keyword(entry, hypernyms[column])

    def _keyword(self, entry: int, probability: np.float32) -> Keyword:
        return Keyword(self._entries[entry]["name"], round(float(probability), 4))

    def _single_stems(self, entry: int) -> set[str]:
        """Stems of the entry's names of one word."""
        names = [self._entries[entry]["name"], *self._entries[entry]["names"]]
        return {stem(name.lower()) for name in names if len(words(name)) == 1}

    def _named(self, tokens: Sequence[str]) -> set[int]:
        """Entries that have the name."""
        for form in _singulars("".join(tokens).replace("-", "")):
            if form in self._by_name:
                return self._by_name[form]
        if not tokens or tokens[-1].endswith(_VERB_ENDINGS):
            return set()
        return self._by_stem("".join(tokens))

    def _by_stem(self, word: str) -> set[int]:
        # A stem has its word's first letters: only names with the same ones need stemming.
        wanted = stem(word)
        similar = self._by_prefix.get(word[:3], ())
        return set().union(*(self._by_name[name] for name in similar if stem(name) == wanted))

    @cached_property
    def _by_prefix(self) -> dict[str, list[str]]:
        """Names by their first three letters."""
        out: dict[str, list[str]] = {}
        for name in self._by_name:
            out.setdefault(name[:3], []).append(name)
        return out

    @cached_property
    def _by_name(self) -> dict[str, set[int]]:
        """Entries by name, written as one word."""
        out: dict[str, set[int]] = {}
        for number, entry in enumerate(self._entries):
            for name in entry["names"]:
                out.setdefault("".join(words(name)).replace("-", ""), set()).add(number)
        return out

    @cached_property
    def _parts(self) -> dict[str, set[int]]:
        """Rows of concepts by the words in their display names."""
        out: dict[str, set[int]] = {}
        for row, name in enumerate(self.names):
            for word in words(name):
                out.setdefault(word, set()).add(row)
        return out

    @cached_property
    def _display_hypernyms(self) -> list[int]:
        """Entries of the hypernyms that may be keywords, specific ones first."""
        hypernyms = range(self._count, len(self._entries))
        return sorted(
            (entry for entry in hypernyms if "name" in self._entries[entry]),
            key=lambda entry: len(self._rows[entry]),
        )

    @cached_property
    def _membership(self) -> FloatArray:
        return self._membership_of(self._display_hypernyms)

    def _membership_of(self, entries: Sequence[int]) -> FloatArray:
        """(concepts, entries): 1 where the concept is the entry or has it as a hypernym."""
        out = np.zeros((self._count, len(entries)), np.float32)
        for column, entry in enumerate(entries):
            out[list(self._rows[entry]), column] = 1
        return out


def log_any(logits: FloatArray) -> FloatArray:
    """Log-probability that at least one of several independent events occurs.

    Parameters
    ----------
    logits
        (N, events), at least one event.

    Returns
    -------
    (N,): log(1 - Π (1 - p)), exact where all p are tiny.
    """
    none = log_probability(-logits).sum(axis=1)
    return np.log(np.maximum(-np.expm1(none), np.finfo(np.float32).tiny)).astype(np.float32)


def _singulars(word: str) -> Iterator[str]:
    """The word, and the words that it may be the plural of."""
    yield word
    if word.endswith("s"):
        yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("ies"):
        yield word[:-3] + "y"
