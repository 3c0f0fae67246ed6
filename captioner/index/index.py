"""The index: an SQLite database of photos, opened for reading or writing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from captioner.errors import CaptionerError
from captioner.fusion import Moments
from captioner.index import (
    chunks,
    database,
    documents,
    duplicates,
    edits,
    facts,
    features,
    merge,
    missing,
    mounts,
    records,
    search,
    spelling,
    statistics,
    store,
    writes,
)
from captioner.index.absence import is_below
from captioner.index.chunks import ChunkCache
from captioner.index.display import DisplayCaption, display_captions
from captioner.index.edits import CurrentCaption
from captioner.index.facts import SidecarFacts
from captioner.index.filters import Filters
from captioner.index.hits import Hit
from captioner.index.merge import MergeSummary
from captioner.index.missing import IndexedPhoto, MissingPhoto, ScannedPaths
from captioner.index.records import Record
from captioner.index.scan import Change, Scan
from captioner.index.search import ExamplePhoto
from captioner.index.statistics import Counts, Statistics
from captioner.index.writes import Writes
from captioner.types import (
    BundleIds,
    DecodedPhoto,
    Description,
    Facts,
    Failure,
    Features,
    HalfArray,
    Listing,
    Photo,
    QueryPlanner,
    RecognisedPhoto,
    SearchVectors,
    StoredCaption,
)

NO_FILTERS = Filters()


class Index:
    """An open index. A context manager.

    Every method raises CaptionerError, with a reason and a remedy, if the database is locked, full,
    read-only or damaged; what was stored before stays.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, resources: ExitStack, *, write: bool
    ) -> None:
        self.path = path
        self._write = write
        self._connection = connection
        self._resources = resources
        self._chunks = ChunkCache()

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """Open the database at `path`.

        For reading it must exist, is never written, and never waits for a writer. For writing it
        is created or migrated first, and no other process may write until this one is done.

        Raises
        ------
        UsageError
            If there is nothing to read.
        CaptionerError
            If another process writes, the file is not an index, or a newer version wrote it.
        """
        with ExitStack() as resources:
            if write:
                database.check_is_database(path)
                resources.enter_context(database.writer_lock(path))
            connection = database.open_writer(path) if write else database.open_reader(path)
            resources.callback(connection.close)
            if write:
                resources.callback(connection.commit)
            with database.explaining_errors(path):
                if not documents.is_current(connection):
                    if not write:
                        raise CaptionerError(
                            f"{path} was made by an older version of captioner.",
                            "Upgrade it with `captioner index FOLDER`; nothing in it is lost.",
                        )
                    documents.rebuild(connection)
            return cls(path, connection, resources.pop_all(), write=write)

    @property
    def network_filesystem(self) -> str | None:
        """The type of the network file system the database is on, such as "nfs4"; else None."""
        return mounts.network_filesystem(database.path_key(self.path))

    def close(self) -> None:
        """Close the database and let the next writer in."""
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
                self._build_chunks()

    def pending(self, photos: Iterable[Photo]) -> Iterator[Photo]:
        """The photos to describe: new, or of another size or date than when they were stored.

        Opens none of them. A photo that failed is pending only if its file has changed. The
        iterator may be consumed in another thread, while this one stores.
        """
        changes = self.scan().changes(map(Listing.of, photos))
        return (photo for photo, change in changes if change is not Change.SIDECAR)

    def scan(self, *, retry_failed: bool = False, bundle: BundleIds | None = None) -> Scan:
        """Start a scan of folders, compared with this index; see `Scan`. Writes nothing."""
        return Scan(self.path, retry_failed=retry_failed, bundle=bundle)

    def finish_scan(
        self, scan: Scan, scanned: ScannedPaths, missing_photos: Iterable[MissingPhoto]
    ) -> None:
        """Store the result of a scan: its folders, what reappeared, and what is missing."""
        with database.explaining_errors(self.path), self._connection:
            missing.unmark(self._connection, scan.reappeared)
            missing.mark(self._connection, missing_photos)
            missing.record_scan(self._connection, scanned)
            missing.delete_absent_roots(self._connection)

    def find_missing(
        self,
        scan: Scan,
        scanned: ScannedPaths,
        *,
        new: Iterable[Path],
        unreadable: Iterable[Path],
        is_ignored: Callable[[Path, Path], bool],
    ) -> list[MissingPhoto]:
        """The photos that a scan should have found and did not. Writes nothing.

        Parameters
        ----------
        new
            What it found that was not in the index in its present state.
        unreadable
            What it could not read.
        is_ignored
            Whether the ignore files in a folder exclude a path below it.
        """

        def is_ignored_key(root: bytes, path: bytes) -> bool:
            return is_ignored(Path(os.fsdecode(root)), Path(os.fsdecode(path)))

        with database.explaining_errors(self.path):
            return list(
                missing.find_missing(
                    self._connection,
                    scanned,
                    scan.unseen,
                    {database.path_key(path) for path in new},
                    {database.path_key(path) for path in unreadable},
                    is_ignored_key,
                )
            )

    def roots(self) -> list[Path]:
        """The folders that were indexed, by path."""
        with database.explaining_errors(self.path):
            return [Path(os.fsdecode(path)) for path in missing.roots(self._connection)]

    def missing_photos(self, below: Iterable[Path] = ()) -> list[IndexedPhoto]:
        """Photos marked as missing or ignored, below some folders or everywhere, by path."""
        with database.explaining_errors(self.path):
            return missing.missing_photos(self._connection, set(map(database.path_key, below)))

    def unmarked_missing(self, below: Iterable[Path] = ()) -> list[IndexedPhoto]:
        """Photos that are gone but not marked, such as those of a deleted folder."""
        folders = set(map(database.path_key, below))
        with database.explaining_errors(self.path):
            gone = [
                one.id
                for one in missing.find_unmarked(self._connection)
                if not folders or is_below(os.fsencode(one.path), folders)
            ]
            found = missing.photos_by_id(self._connection, gone)
        return [replace(one, since=database.now(), reason="gone") for one in found]

    def photos_at(self, path: Path) -> list[IndexedPhoto]:
        """All photos at a path or below it, missing or not."""
        with database.explaining_errors(self.path):
            return missing.photos_at(self._connection, database.path_key(path))

    def empty_roots(self) -> list[tuple[Path, int]]:
        """Indexed folders that are empty now, with the number of photos found there before."""
        with database.explaining_errors(self.path):
            return [
                (Path(os.fsdecode(root)), photos)
                for root, photos in missing.empty_roots(self._connection)
            ]

    def removal_warnings(self, gone: Sequence[IndexedPhoto]) -> list[str]:
        """Reasons why photos may not be gone for good, such as an unmounted drive; sentences."""
        with database.explaining_errors(self.path):
            return list(missing.removal_warnings(self._connection, gone))

    def delete(self, photos: Sequence[IndexedPhoto], roots: Iterable[Path] = ()) -> None:
        """Delete photos and everything recorded about them, and the roots at or below paths."""
        with database.explaining_errors(self.path), self._connection:
            for root in roots:
                missing.delete_roots(self._connection, database.path_key(root))
            missing.delete(self._connection, photos)

    def known_sizes(self, sizes: Iterable[int]) -> set[int]:
        """Those of some file sizes, in bytes, that a described photo has."""
        with database.explaining_errors(self.path):
            return duplicates.known_sizes(self._connection, sizes)

    def recognise(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """The photos whose content hash is known: moved, copied or merely of another date."""
        with database.explaining_errors(self.path):
            found = [duplicates.find(self._connection, photo, digest) for photo, digest in photos]
        return [one for one in found if one]

    def store_recognised(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """Store the photos whose content hash is known, with all that is known of the content."""
        with database.explaining_errors(self.path), self._connection:
            found = [
                duplicates.store_recognised(self._connection, photo, digest)
                for photo, digest in photos
            ]
        return [one for one in found if one]

    def store(
        self,
        results: Sequence[Description | Failure],
        model_id: str | None = None,
        encoder_id: str | None = None,
    ) -> None:
        """Store descriptions and failures in one transaction.

        Replaces all that models generated for the same photos before; human-authored captions
        stay. Transient failures, and those without a photo, are not stored, so that the file is
        tried again.

        Parameters
        ----------
        model_id, encoder_id
            Of the model that made the descriptions; may be None if there are only failures.
        """
        with database.explaining_errors(self.path), self._connection:
            last = chunks.last_chunk(self._connection)
            store.store(self._connection, results, model_id, encoder_id)
            if chunks.last_chunk(self._connection) > last >= 0:
                chunks.build(self._connection, last)

    def facts(self, photo: Path) -> Facts | None:
        """What cameras and people wrote about a photo; None if the index has nothing."""
        with database.explaining_errors(self.path):
            return facts.load(self._connection, photo)

    def embedded_facts(self, photo: Photo) -> Facts | None:
        """The facts in a photo's own file, without sidecars; None if it has to be read (again)."""
        with database.explaining_errors(self.path):
            return facts.load_embedded(self._connection, photo)

    def with_changed_sidecars(self, photos: Iterable[Photo]) -> list[Photo]:
        """Those of some photos whose sidecars are not those that were read, or have changed."""
        with database.explaining_errors(self.path):
            return [photo for photo in photos if facts.sidecars_changed(self._connection, photo)]

    def store_sidecar_facts(self, read: Iterable[SidecarFacts]) -> None:
        """Store the facts of photos with sidecars in one transaction."""
        with database.explaining_errors(self.path), self._connection:
            for one in read:
                photo = facts.store_with_sidecars(self._connection, one)
                if photo is not None:
                    documents.refresh(self._connection, photo)

    def ids_to_recaption(self, bundle: BundleIds, below: Iterable[Path] = ()) -> list[int]:
        """Ids of photos that another model described, by features of this bundle's encoder."""
        with database.explaining_errors(self.path):
            folders = set(map(database.path_key, below))
            return features.ids_to_recaption(self._connection, bundle, folders)

    def features(self, ids: Sequence[int]) -> tuple[list[DecodedPhoto], Features]:
        """Photos without their pixels, and their stored features, which have no feature map."""
        with database.explaining_errors(self.path):
            return features.load(self._connection, ids)

    def store_recaptioned(self, descriptions: Sequence[Description], model_id: str) -> None:
        """Store what another model generated from stored features, in one transaction."""
        with database.explaining_errors(self.path), self._connection:
            store.store_recaptioned(self._connection, descriptions, model_id)

    def merge(self, other: Path, summary: MergeSummary) -> None:
        """Merge another index, batch by batch; see `captioner.index.merge`.

        Merging it again, or the rest of it after an interrupt, changes nothing that is there.

        Raises
        ------
        UsageError
            If there is nothing to read at `other`.
        CaptionerError
            If it is of another version.
        """
        with (
            closing(database.open_reader(other)) as connection,
            database.explaining_errors(other),
            database.snapshot(connection) as source,
        ):
            batches = merge.merge_index(self._connection, source, str(other), summary)
            more = True
            while more:
                with database.explaining_errors(self.path), self._connection:
                    more = next(batches, False) is not False

    def merge_results(
        self,
        results: Sequence[Description | Failure],
        bundle: BundleIds,
        summary: MergeSummary,
    ) -> None:
        """Merge what a model made of photos elsewhere, in one transaction."""
        with database.explaining_errors(self.path), self._connection:
            merge.merge_results(self._connection, results, bundle, summary)

    def search(
        self,
        query: str,
        *,
        planner: QueryPlanner | None = None,
        model_id: str | None = None,
        limit: int = 10,
        exact: bool = False,
        filters: Filters = NO_FILTERS,
        min_score: float = 0,
        example: ExamplePhoto | None = None,
        collection: Moments | None = None,
    ) -> list[Hit]:
        """The photos that match a query, best first; of identical files only one.

        Parameters
        ----------
        query
            Plain words; those in double quotes must be in the caption, or in other human-authored
            text, together and in order; those after a minus (`-word`) must not. For exclusions
            alone, the newest of the other photos are found.
        planner, model_id
            How a model measures photos for a query, and which model; without them, only text
            counts.
        exact
            Find only captions, and other human-authored text, that hold all the words, and let
            nothing else count.
        filters
            Find only photos that match them.
        min_score
            Leave out hits with a lower score.
        example
            A photo that hits should look like, too; ignored by `exact`.
        collection
            The moments of the collection that this index is a part of; None if it is all of it.

        Returns
        -------
        Hits, those by human-authored text first. `score` is the probability that the photo matches
        the query, whatever the collection: the best of nothing is near 0. Equal photos are in the
        order in which they were first stored.

        Raises
        ------
        UsageError
            If the query is empty. No other query is an error, whatever it contains.
        """
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            if exact:
                return search.search_captions(connection, query, limit, filters, min_score)
            return search.search(
                connection, self._chunks, query, planner, model_id, limit, filters, min_score,
                example, collection,
            )  # fmt: skip

    def moments(
        self,
        query: str,
        planner: QueryPlanner,
        model_id: str,
        example: ExamplePhoto | None = None,
    ) -> Moments | None:
        """The moments of what `search` ranks by, for a search of several indexes as one."""
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            return search.moments(connection, self._chunks, query, planner, model_id, example)

    def newest(self, *, limit: int = 10, filters: Filters = NO_FILTERS) -> list[Hit]:
        """The photos taken last; those without a date come after, in reverse order of storing."""
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            return search.newest(connection, limit, filters)

    def respell(self, query: str, is_known: Callable[[str], bool]) -> tuple[str, dict[str, str]]:
        """Correct the spelling of a query: the query, and the replacement of each wrong word.

        `is_known` tells whether the model knows a word. Quoted phrases are left alone.
        """
        with database.explaining_errors(self.path):
            return spelling.respell(self._connection, query, is_known)

    def similar(
        self,
        embedding: HalfArray,
        model_id: str,
        *,
        limit: int = 10,
        exclude: Path | None = None,
        content_hash: bytes | None = None,
        filters: Filters = NO_FILTERS,
    ) -> list[Hit]:
        """The nearest photos to an embedding (256,) of the same model's joint space.

        `score` is the cosine, negative ones as 0. Neither the photo `exclude` nor one with its
        content, or with that of `content_hash`, is among them.
        """
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            return search.similar(
                connection,
                self._chunks,
                embedding,
                model_id,
                limit,
                exclude,
                filters,
                content_hash,
            )

    def vectors(self, path: Path, model_id: str) -> SearchVectors | None:
        """The search vectors of a photo by a model; None if it has not described the photo."""
        with database.explaining_errors(self.path):
            return search.vectors(self._connection, path, model_id)

    def content_hash(self, path: Path) -> bytes | None:
        """The content hash of a photo; None if the index does not know it."""
        with database.explaining_errors(self.path):
            return search.content_hash(self._connection, path)

    def stored_caption(self, path: Path) -> StoredCaption | None:
        """The caption and keywords of a photo, for writing them elsewhere; None without either."""
        with database.explaining_errors(self.path):
            return writes.stored_caption(self._connection, path)

    def described_paths(self) -> list[Path]:
        """The absolute paths of all photos that were described and are not missing."""
        with database.explaining_errors(self.path):
            return writes.described_paths(self._connection)

    def writes(self, *, sync: bool = True) -> Writes:
        """The records of what was written into files.

        Parameters
        ----------
        sync
            Wait for the disk with every record, so that it can be undone even after a power cut.
        """
        if not sync:
            self._connection.execute("PRAGMA synchronous = OFF")
        return Writes(self.path, self._connection)

    def display_captions(self, photos: Iterable[int]) -> dict[int, DisplayCaption]:
        """The captions to show for photos, by their ids."""
        with database.explaining_errors(self.path):
            return display_captions(self._connection, photos)

    def current_caption(self, photo: Path) -> CurrentCaption | None:
        """The caption of a photo in the index, and whether it is human-authored.

        None if the index does not know the photo.
        """
        with database.explaining_errors(self.path):
            return edits.current_caption(self._connection, photo)

    def set_caption(self, photo: Path, text: str) -> None:
        """Store a human-authored caption, replacing an earlier one; an empty one removes it.

        No model overwrites it, and it is what is shown for the photo. Possible even if the index is
        open for reading, and while another process writes: it takes only a moment's lock.

        Parameters
        ----------
        photo
            One that the index knows; for others, nothing is stored.
        text
            Line breaks and runs of spaces count as one space.
        """
        with database.explaining_errors(self.path):
            edits.set_caption(self.path, photo, text)

    def statistics(self) -> Statistics:
        """Counts of photos by state, format, camera, year, keyword and model."""
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            return statistics.statistics(connection, self.path)

    def records(self) -> Generator[Record, None, None]:
        """All that the index knows of each photo, ordered by path, as it is now.

        To be consumed, or closed, before anything else is asked of this index.
        """
        with (
            database.explaining_errors(self.path),
            database.snapshot(self._connection) as connection,
        ):
            yield from records.records(connection)

    def counts(self) -> Counts:
        """How many photos the index holds, by state."""
        with database.explaining_errors(self.path):
            return statistics.counts(self._connection)

    def model_ids(self) -> list[str]:
        """The models with descriptions in the index, the one with most photos first."""
        with database.explaining_errors(self.path):
            return list(statistics.models(self._connection))

    def _build_chunks(self) -> None:
        """Build the quantised chunks that are missing, as far as the disk has space."""
        with database.explaining_errors(self.path):
            for number in chunks.not_built(self._connection):
                try:
                    with self._connection:
                        chunks.build(self._connection, number)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname != "SQLITE_FULL":
                        raise
                    return  # a search reads the exact vectors of that chunk instead
