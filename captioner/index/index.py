"""The open index: what a run asks of it and gives to it, each in one call."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from captioner.errors import CaptionerError
from captioner.index import (
    database,
    edits,
    facts,
    features,
    missing,
    mounts,
    records,
    shown,
    sketches,
    spelling,
    statistics,
    store,
    texts,
    twins,
    writes,
)
from captioner.index import search as searching
from captioner.index.changes import Change, Survey
from captioner.index.edits import Said
from captioner.index.facts import WithSidecars
from captioner.index.filters import Filters
from captioner.index.hits import Hit
from captioner.index.missing import Entry, Lost, Walked
from captioner.index.records import Record
from captioner.index.shown import Shown
from captioner.index.sketches import Sketches
from captioner.index.statistics import Statistics
from captioner.index.writes import Writes
from captioner.types import (
    BundleIds,
    DecodedPhoto,
    Description,
    Facts,
    Failure,
    FloatArray,
    HalfArray,
    Listing,
    Photo,
    QueryPlanner,
    RecognisedPhoto,
    SearchVectors,
    StoredCaption,
)

ALL = Filters()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos the index knows, and how they fare.

    One that is missing, because its file was deleted, or ignored counts among the others as well.
    """

    photos: int
    described: int
    failed: int
    missing: int
    ignored: int = 0


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
                database.check(path)
                resources.enter_context(database.lock(path))
            connection = database.writer(path) if write else database.reader(path)
            resources.callback(connection.close)
            if write:
                resources.callback(connection.commit)
            with database.explained(path):
                if not texts.is_current(connection):
                    if not write:
                        raise CaptionerError(
                            f"{path} was made by an older captioner.",
                            "Bring it up to date with `captioner index FOLDER`; nothing in it is "
                            "lost.",
                        )
                    texts.rebuild(connection)
            return cls(path, connection, resources.pop_all(), write=write)

    @property
    def network(self) -> str | None:
        """The kind of network drive that the file lies on, "nfs4" for one; None on a disk."""
        return mounts.network(database.path_key(self.path))

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
        changes = self.survey().changes(map(Listing.of, photos))
        return (photo for photo, change in changes if change is not Change.SIDECAR)

    def survey(self, *, retry_failed: bool = False, weights: BundleIds | None = None) -> Survey:
        """What a walk finds, held against this index; see `Survey`. Writes nothing."""
        return Survey(self.path, retry_failed=retry_failed, weights=weights)

    def close_survey(self, survey: Survey, walked: Walked, lost: Iterable[Lost]) -> None:
        """Remember the folders of a walk that is over, what came back, and what has vanished."""
        with database.explained(self.path), self._connection:
            missing.unmark(self._connection, survey.back)
            missing.mark(self._connection, lost)
            missing.note(self._connection, walked)
            missing.forget_deleted_roots(self._connection)

    def vanished(
        self,
        survey: Survey,
        walked: Walked,
        *,
        new: Iterable[Path],
        unreadable: Iterable[Path],
        ignored: Callable[[Path, Path], bool],
    ) -> list[Lost]:
        """The photos that a walk did not find though it should have, as far as can be told.

        Parameters
        ----------
        new
            What it found that was not as the index has it.
        unreadable
            What it could not look at.
        ignored
            Whether the ignore files in a folder leave out a path below it.
        """

        def leave_out(root: bytes, path: bytes) -> bool:
            return ignored(Path(os.fsdecode(root)), Path(os.fsdecode(path)))

        with database.explained(self.path):
            return list(
                missing.vanished(
                    self._connection,
                    walked,
                    survey.unseen,
                    {database.path_key(path) for path in new},
                    {database.path_key(path) for path in unreadable},
                    leave_out,
                )
            )

    def roots(self) -> list[Path]:
        """The folders that were indexed, by name."""
        with database.explained(self.path):
            return [Path(os.fsdecode(path)) for path in missing.roots(self._connection)]

    def missing(self, below: Iterable[Path] = ()) -> list[Entry]:
        """The photos that are missing or ignored, below some folders or everywhere, by path."""
        with database.explained(self.path):
            return missing.found(self._connection, set(map(database.path_key, below)))

    def unmarked(self, below: Iterable[Path] = ()) -> list[Entry]:
        """Photos that are gone though no run has marked them: as of a folder that was deleted."""
        folders = set(map(database.path_key, below))
        with database.explained(self.path):
            lost = [
                one
                for one in missing.unmarked(self._connection)
                if not folders or missing.is_below(os.fsencode(one.path), folders)
            ]
            found = missing.entries(self._connection, [one.id for one in lost])
        return [replace(one, since=database.now(), reason="gone") for one in found]

    def at(self, path: Path) -> list[Entry]:
        """All photos at a path or below it, whether or not their files exist."""
        with database.explained(self.path):
            return missing.at_or_below(self._connection, database.path_key(path))

    def emptied(self) -> list[tuple[Path, int]]:
        """Folders that hold nothing now, though photos were found in them; how many these were."""
        with database.explained(self.path):
            return [
                (Path(os.fsdecode(root)), number)
                for root, number in missing.emptied(self._connection)
            ]

    def doubts(self, gone: Sequence[Entry]) -> list[str]:
        """Reasons to believe that photos are not gone for good, a sentence each."""
        with database.explained(self.path):
            return list(missing.doubts(self._connection, gone))

    def forget(self, gone: Sequence[Entry], roots: Iterable[Path] = ()) -> None:
        """Remove photos and everything recorded of them, and the roots at or below some paths."""
        with database.explained(self.path), self._connection:
            for root in roots:
                missing.forget_roots(self._connection, database.path_key(root))
            missing.remove(self._connection, gone)

    def sizes(self, some: Iterable[int]) -> set[int]:
        """Those of some file sizes that described photos have."""
        with database.explained(self.path):
            return twins.sizes(self._connection, some)

    def recognise(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """What `keep` would do. Writes nothing."""
        with database.explained(self.path):
            known = [twins.find(self._connection, photo, digest) for photo, digest in photos]
        return [one for one in known if one]

    def keep(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """Keep those photos whose content hash is known, with all that is known of it."""
        with database.explained(self.path), self._connection:
            kept = [twins.adopt(self._connection, photo, digest) for photo, digest in photos]
        return [one for one in kept if one]

    def store(
        self,
        results: Sequence[Description | Failure],
        model_id: str,
        encoder_id: str | None = None,
    ) -> None:
        """Keep what a model said, all of it or, on any error, none.

        Replaces all that models said of the same photos before; a person's captions stay. A
        failure without a photo lies outside its file: it is not kept, so that the file is tried
        again.
        """
        with database.explained(self.path), self._connection:
            run = sketches.last_run(self._connection)
            store.store(self._connection, results, model_id, encoder_id)
            if sketches.last_run(self._connection) > run >= 0:
                sketches.draw(self._connection, run)

    def facts(self, photo: Path) -> Facts | None:
        """What cameras and people wrote about a photo; None where the index has nothing of it."""
        with database.explained(self.path):
            return facts.of(self._connection, photo)

    def own_facts(self, photo: Photo) -> Facts | None:
        """What a photo's own file says, without sidecars; None where it is to be read (again)."""
        with database.explained(self.path):
            return facts.own(self._connection, photo)

    def other_sidecars(self, photos: Iterable[Photo]) -> list[Photo]:
        """Those of some photos whose sidecars are not those that were read, or have changed."""
        with database.explained(self.path):
            return [photo for photo in photos if facts.changed(self._connection, photo)]

    def store_sidecars(self, read: Iterable[WithSidecars]) -> None:
        """Keep what sidecars say, all of it or, on any error, none."""
        with database.explained(self.path), self._connection:
            for one in read:
                photo = facts.keep_with_sidecars(self._connection, one)
                if photo is not None:
                    texts.refresh(self._connection, photo)

    def retellable(self, weights: BundleIds, below: Iterable[Path] = ()) -> list[int]:
        """Ids of photos that another model described, from features that `weights` share."""
        with database.explained(self.path):
            folders = set(map(database.path_key, below))
            return features.below(self._connection, weights, folders)

    def features(self, ids: Sequence[int]) -> tuple[list[DecodedPhoto], FloatArray]:
        """Photos without their pixels, and their features (N, 2048)."""
        with database.explained(self.path):
            return features.of(self._connection, ids)

    def retell(self, descriptions: Sequence[Description], model_id: str) -> None:
        """Keep what another model said of features, all of it or, on any error, none."""
        with database.explained(self.path), self._connection:
            store.retell(self._connection, descriptions, model_id)

    def search(
        self,
        query: str,
        *,
        rank: QueryPlanner | None = None,
        model_id: str | None = None,
        limit: int = 10,
        exact: bool = False,
        filters: Filters = ALL,
        min_score: float = 0,
    ) -> list[Hit]:
        """The photos that fit a query, best first; of files with the same content only one.

        Parameters
        ----------
        query
            Plain words; those in double quotes must stand in the caption, or in what a person
            wrote, together and in order; those after a minus (`-word`) must not. Of exclusions
            alone, the newest of the other photos are found.
        rank, model_id
            How the model scores its vectors, and which model; without them, text alone counts.
        exact
            Find only captions, and a person's other words, that hold all the words, and let
            nothing else count.
        filters
            Find only photos that fulfil them.
        min_score
            Leave out hits with a lower score.

        Returns
        -------
        Hits, those with a person's words first. `score` is how likely the photo fits the query,
        whatever the collection: the best of nothing is near 0. Equal photos stand in the order in
        which they were first stored.

        Raises
        ------
        UsageError
            Where the query is empty. No other query is an error, whatever it contains.
        """
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            if exact:
                return searching.search_captions(connection, query, limit, filters, min_score)
            return searching.search(
                connection, self._sketches, query, rank, model_id, limit, filters, min_score
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
        content_hash: bytes | None = None,
        filters: Filters = ALL,
    ) -> list[Hit]:
        """The photos nearest to a vector (256,) of the same model's joint space, nearest first.

        `score` is the cosine, negative ones as 0. Neither the photo `but_not` nor one with its
        content, or with that of `content_hash`, is among them.
        """
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            return searching.similar(
                connection,
                self._sketches,
                joint,
                model_id,
                limit,
                but_not,
                filters,
                content_hash,
            )

    def vectors_of(self, path: Path, model_id: str) -> SearchVectors | None:
        """What `model_id` saw in a photo; None where it has not described it."""
        with database.explained(self.path):
            return searching.vectors_of(self._connection, path, model_id)

    def known(self, path: Path) -> StoredCaption | None:
        """What is known of a photo, best words first; None where nothing is said of it."""
        with database.explained(self.path):
            return writes.known(self._connection, path)

    def described(self) -> list[Path]:
        """The absolute paths of all photos that were described, but of missing ones."""
        with database.explained(self.path):
            return writes.described(self._connection)

    def writes(self, *, sync: bool = True) -> Writes:
        """The records of what was written into files.

        Parameters
        ----------
        sync
            Wait for the disk with every record, as taking back after a power cut needs it.
        """
        if not sync:
            self._connection.execute("PRAGMA synchronous = OFF")
        return Writes(self.path, self._connection)

    def shown(self, photos: Iterable[int]) -> dict[int, Shown]:
        """The captions that are shown for photos with these ids."""
        with database.explained(self.path):
            return shown.of(self._connection, photos)

    def said(self, photo: Path) -> Said | None:
        """What is said of a photo, and by whom; None where the index does not know it."""
        with database.explained(self.path):
            return edits.said(self._connection, photo)

    def edit(self, photo: Path, text: str) -> None:
        """Keep a person's words about a photo, in place of earlier ones; none takes them back.

        No model overwrites them, and they are what is shown of the photo. Also while the index is
        open for reading alone, and while another process writes: it takes a moment's turn.

        Parameters
        ----------
        photo
            One that the index knows; of others, nothing is kept.
        text
            Line breaks and runs of spaces count as one space.
        """
        with database.explained(self.path):
            edits.edit(self.path, photo, text)

    def statistics(self) -> Statistics:
        """What the index holds, counted from many sides."""
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            return statistics.count(connection, self.path)

    def records(self) -> Generator[Record, None, None]:
        """All that the index knows of each photo, in the order of their paths, as it is now.

        To be consumed, or closed, before anything else is asked of this index.
        """
        with database.explained(self.path), database.snapshot(self._connection) as connection:
            yield from records.records(connection)

    def counts(self) -> Counts:
        """How many photos the index knows."""
        with database.explained(self.path):
            row = self._connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE status = 'described'), "
                "count(*) FILTER (WHERE status = 'failed'), "
                "count(missing_since) - count(*) FILTER (WHERE missing_reason = 'ignored'), "
                "count(*) FILTER (WHERE missing_reason = 'ignored') FROM photos"
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
        """Draw what searches look at first, wherever that is undone and the disk has room."""
        with database.explained(self.path):
            for run in sketches.undrawn(self._connection):
                try:
                    with self._connection:
                        sketches.draw(self._connection, run)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname != "SQLITE_FULL":
                        raise
                    return  # a search reads the vectors of that run, and finds the same
