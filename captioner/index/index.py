"""The open index: what a run asks of it and gives to it, each in one call."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from captioner.index import changes, database, sketches, spelling, store
from captioner.index import search as searching
from captioner.index.filters import Filters
from captioner.index.search import Hit
from captioner.index.sketches import Sketches
from captioner.types import Description, Failure, HalfArray, Photo, Rank, SearchVectors

ALL = Filters()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos the index knows, and how they fare. A missing one counts in each."""

    photos: int
    described: int
    failed: int
    missing: int


class Index:
    """A database that is open, for reading or for writing. A context manager.

    Every method raises CaptionerError, with reason and remedy, where the database is locked, full,
    read-only or damaged; what was stored before stays as it was.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, resources: ExitStack, *, write: bool
    ) -> None:
        self.path = path
        self._write = write
        self._connection = connection
        self._resources = resources
        self._sketches = Sketches()

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """Open the database at `path`.

        For reading it must exist, is never written, and never waits for a writer. For writing it
        is made or brought up to date first, and no other process may write until this one is done.

        Raises
        ------
        UsageError
            Where there is nothing to read.
        CaptionerError
            Where another process writes, the file is no index, or it is of a newer captioner.
        """
        with ExitStack() as resources:
            if write:
                resources.enter_context(database.lock(path))
            connection = database.writer(path) if write else database.reader(path)
            resources.callback(connection.close)
            return cls(path, connection, resources.pop_all(), write=write)

    def close(self) -> None:
        """Close the file and let the next writer in."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._resources:
            if self._write and kind is None:
                self._sketch()

    def pending(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos to describe: new, or of another size or modification time than when stored.

        Opens none of them. One that failed is tried again only when its file has changed. May be
        consumed in another thread than the index's own, while that one stores.
        """
        return changes.pending(self.path, photos)

    def store(self, results: Sequence[Description | Failure], model_id: str) -> None:
        """Keep what a model said, all of it or, on any error, none.

        Replaces all that models said of the same photos before; a person's captions stay. A
        failure without a photo lies outside its file: it is not kept, so that the file is tried
        again.
        """
        with database.explained(self.path), self._connection:
            run = sketches.last_run(self._connection)
            store.store(self._connection, results, model_id)
            if sketches.last_run(self._connection) > run >= 0:
                sketches.draw(self._connection, run)

    def search(
        self,
        query: str,
        *,
        rank: Rank | None = None,
        model_id: str | None = None,
        limit: int = 10,
        exact: bool = False,
        filters: Filters = ALL,
    ) -> list[Hit]:
        """The photos that fit a query, best first.

        Parameters
        ----------
        query
            Plain words; those in double quotes must stand in the caption, together and in order.
        rank, model_id
            How the model scores its vectors, and which model; without them, text alone counts.
        exact
            Find only captions that hold all the words, and let nothing else count.
        filters
            Find only photos that fulfil them.

        Returns
        -------
        Hits, whose `score` is 1 for the best of this search and 0 for one that fits no better than
        the average photo. Equal photos stand in the order in which they were first stored.

        Raises
        ------
        UsageError
            Where the query is empty. No other query is an error, whatever it contains.
        """
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            if exact:
                return searching.search_captions(connection, query, limit, filters)
            return searching.search(
                connection, self._sketches, query, rank, model_id, limit, filters
            )

    def newest(self, *, limit: int = 10, filters: Filters = ALL) -> list[Hit]:
        """The photos that were taken last; those without a date come after, last stored first."""
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            return searching.newest(connection, limit, filters)

    def respell(self, query: str, knows: Callable[[str], bool]) -> tuple[str, dict[str, str]]:
        """A query with near words in place of those that nothing knows, and which for which.

        `knows` says whether the model knows a word. What stands in quotes is left alone.
        """
        with database.explained(self.path):
            return spelling.respell(self._connection, query, knows)

    def similar(
        self,
        joint: HalfArray,
        model_id: str,
        *,
        limit: int = 10,
        but_not: Path | None = None,
        filters: Filters = ALL,
    ) -> list[Hit]:
        """The photos nearest to a vector (256,) of the same model's joint space, nearest first.

        `score` is the cosine, negative ones as 0.
        """
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            return searching.similar(
                connection, self._sketches, joint, model_id, limit, but_not, filters
            )

    def vectors_of(self, path: Path, model_id: str) -> SearchVectors | None:
        """What `model_id` saw in a photo; None where it has not described it."""
        with database.explained(self.path):
            return searching.vectors_of(self._connection, path, model_id)

    def counts(self) -> Counts:
        """How many photos the index knows."""
        with database.explained(self.path):
            row = self._connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE status = 'described'), "
                "count(*) FILTER (WHERE status = 'failed'), count(missing_since) FROM photos"
            ).fetchone()
        return Counts(*row)

    def model_ids(self) -> list[str]:
        """The models whose descriptions the index holds, the one with most photos first."""
        with database.explained(self.path):
            rows = self._connection.execute(
                "SELECT model_id FROM vectors GROUP BY model_id ORDER BY count(*) DESC, model_id"
            ).fetchall()
        return [model_id for (model_id,) in rows]

    def _sketch(self) -> None:
        """Draw what searches look at first, wherever that is undone."""
        with database.explained(self.path):
            for run in sketches.undrawn(self._connection):
                with self._connection:
                    sketches.draw(self._connection, run)
