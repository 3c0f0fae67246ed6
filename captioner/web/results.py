"""Results of queries: the numbers of all photos in their order, kept while pages show them."""

from __future__ import annotations

import calendar
import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner import search
from captioner.errors import CaptionerError, PhotoError, UsageError
from captioner.index.ranking import ExamplePhoto
from captioner.search import Advice
from captioner.types import Failure, FloatArray
from captioner.web.query import Query
from captioner.web.workspace import Reader, Workspace

MAX_NUMBERS = 4_000_000
"""In all results that are kept: 48 MB."""
MAX_EXAMPLES = 64
FEW = 12
"""Months with fewer photos share a heading with others."""


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """All photos that a query finds."""

    query: Query
    snapshot: int
    """Identifies these results: the same query may find others later."""
    numbers: npt.NDArray[np.int64]
    """(N,): as `Reader.photo` takes them, in their order."""
    scores: FloatArray | None
    """(N,): 0 to 1; None for the newest photos."""
    groups: tuple[tuple[str, int], ...]
    """The headings of the newest photos, and how many are below each; empty otherwise."""
    searched: str
    """The words with respelled ones replaced."""
    respelled: Mapping[str, str]
    advice: Advice | None
    """Set if nothing was found."""
    missing: int

    def position(self, number: int, near: int = 0) -> int | None:
        """Where a photo is, tried first at a position; None if it is not among them."""
        if 0 <= near < len(self.numbers) and self.numbers[near] == number:
            return near
        found = np.flatnonzero(self.numbers == number)
        return int(found[0]) if len(found) else None


class Examples:
    """Photos that were dropped onto the page: their vectors alone, the latest ones, in memory."""

    def __init__(self) -> None:
        self._examples: OrderedDict[str, ExamplePhoto] = OrderedDict()
        self._names = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, example: ExamplePhoto) -> str:
        """Keep an example; its name."""
        with self._lock:
            name = f"{next(self._names)}"
            self._examples[name] = example
            while len(self._examples) > MAX_EXAMPLES:
                self._examples.popitem(last=False)
        return name

    def get(self, name: str) -> ExamplePhoto:
        """An example by its name.

        Raises
        ------
        UsageError
            If it is not kept any more.
        """
        with self._lock:
            found = self._examples.get(name)
        if found is None:
            raise UsageError("the photo to compare with is gone.", "Drop it onto the page again.")
        return found


class ResultsCache:
    """The latest results. Safe for threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.examples = Examples()
        self._workspace = workspace
        self._results: OrderedDict[Query, tuple[object, Results]] = OrderedDict()
        self._snapshots = itertools.count(1)
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Find the newest photos, and load what the first search needs."""
        with suppress(CaptionerError), self._workspace.reader() as reader:  # a page will say it
            self.latest(reader, Query())
            search.rank(reader.indexes, "photo", model=self._workspace.planner())

    def latest(self, reader: Reader, query: Query) -> Results:
        """The results of a query in the indexes as they are now.

        Raises
        ------
        CaptionerError
            If the query cannot be searched for.
        """
        version = self._workspace.version()
        with self._lock:
            known = self._results.get(query)
            if known and known[0] == version:
                self._results.move_to_end(query)
                return known[1]
        results = self._search(reader, query)
        with self._lock:
            self._results[query] = version, results
            self._results.move_to_end(query)
            kept = 0
            for old in reversed(list(self._results)):
                kept += len(self._results[old][1].numbers)
                if kept > MAX_NUMBERS and old != query:
                    del self._results[old]
        return results

    def shown(self, reader: Reader, query: Query) -> Results:
        """The results that a page shows: kept ones, even if the indexes have changed since."""
        with self._lock:
            known = self._results.get(query)
            if known:
                self._results.move_to_end(query)
                return known[1]
        return self.latest(reader, query)

    def _search(self, reader: Reader, query: Query) -> Results:
        roots = (
            [root for index in reader.indexes for root in index.roots()] if query.folders else ()
        )
        filters = query.filters(roots)
        example = self._example(reader, query)
        model = self._workspace.planner() if query.words or example else None
        found = search.rank(
            reader.indexes,
            query.words or None,
            model=model,
            exact=query.exact,
            filters=filters,
            example=example,
        )
        groups: tuple[tuple[str, int], ...] = ()
        if found.scores is None:
            months = np.zeros(len(found.rows), np.int32)
            for position, index in enumerate(reader.indexes):
                own = found.positions == position
                months[own] = index.months(found.rows[own])
            groups = _groups(months)
        return Results(
            query=query,
            snapshot=next(self._snapshots),
            numbers=found.rows * len(reader.indexes) + found.positions,
            scores=found.scores,
            groups=groups,
            searched=found.query,
            respelled=found.respelled,
            advice=found.advice,
            missing=found.missing,
        )

    def _example(self, reader: Reader, query: Query) -> ExamplePhoto | None:
        if query.example:
            return self.examples.get(query.example)
        if query.like is None:
            return None
        workspace = self._workspace
        model_id, _ = workspace.planner()
        path = reader.photo(query.like).path
        found = search.example_photo(reader.indexes, path, workspace.describe, model_id)
        if isinstance(found, Failure):
            raise PhotoError(f"cannot compare with {path}: {found.reason}")
        return found


def _groups(months: npt.NDArray[np.int32]) -> tuple[tuple[str, int], ...]:
    """Runs of photos of a month, or of several months with few photos each, and their names."""
    if not len(months):
        return ()
    starts = np.flatnonzero(np.append(True, np.diff(months) != 0))
    sizes = np.diff(np.append(starts, len(months)))
    runs: list[list[int]] = []
    for month, size in zip(months[starts].tolist(), sizes.tolist(), strict=True):
        if runs and month and max(runs[-1][2], size) < FEW:
            runs[-1][1] = month
            runs[-1][2] += size
        else:
            runs.append([month, month, size])
    return tuple((_months(first, last), size) for first, last, size in runs)


def _months(latest: int, earliest: int) -> str:
    if latest == earliest:
        return _month(latest)
    if latest // 100 == earliest // 100:
        return f"{_month(earliest).partition(' ')[0]} to {_month(latest)}"
    return f"{_month(earliest)} to {_month(latest)}"


def _month(month: int) -> str:
    year, number = divmod(month, 100)
    if not month:
        return "No date"
    return f"{calendar.month_name[number]} {year}" if 1 <= number <= 12 else str(year)
