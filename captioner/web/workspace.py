"""What requests share: open indexes, loaded models, thumbnails and background jobs."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from captioner.app_paths import bundle_folder, database_path
from captioner.errors import CaptionerError, PhotoError
from captioner.index import ChunkCache, Hit, Index, PhotoRow
from captioner.model.options import DEFAULT_OPTIONS, DescribeOptions
from captioner.rendering.thumbnails import ThumbnailCache
from captioner.review import DisagreementFinder, Review, Suggester
from captioner.types import DecodedPhoto, Describer, Description, Failure, Photo, QueryPlanner
from captioner.web.indexing import Indexer
from captioner.web.jobs import Jobs

Load = Callable[[DescribeOptions], Describer]


class NotFoundError(CaptionerError):
    """There is no such photo, job or model: status 404."""


class Reader:
    """The indexes, open for reading, of one request at a time.

    A photo's number is its row if there is one index. If there are several, rows and indexes
    alternate: row r of index i out of n is r * n + i.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = tuple(indexes)

    @property
    def index(self) -> Index:
        """The first index: the one that is written to."""
        return self.indexes[0]

    def locate(self, number: int) -> tuple[Index, int]:
        """The index of a photo, and its row there."""
        row, position = divmod(number, len(self.indexes))
        return self.indexes[position], row

    def number(self, position: int, row: int) -> int:
        """The number of a photo in a row of the index at a position."""
        return row * len(self.indexes) + position

    def photo(self, number: int) -> PhotoRow:
        """The file of a photo, by its number.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        index, row = self.locate(number)
        found = index.photo_row(row)
        if found is None:
            raise NotFoundError(
                f"there is no photo number {number} in the index.", "Search for it again."
            )
        return found

    def close(self) -> None:
        """Close the indexes."""
        for index in self.indexes:
            index.close()

    def hits(self, numbers: Sequence[int]) -> list[tuple[int, Hit]]:
        """What is shown of photos, with their numbers and in their order; absent ones omitted."""
        found: dict[int, Hit] = {}
        for position, index in enumerate(self.indexes):
            rows = [
                number // len(self.indexes)
                for number in numbers
                if number % len(self.indexes) == position
            ]
            if rows:
                found |= {self.number(position, hit.id): hit for hit in index.hits(rows)}
        return [(number, found[number]) for number in numbers if number in found]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that the page can use."""

    number: int
    name: str
    """The name of the bundle's folder."""
    options: DescribeOptions


class Workspace:
    """What requests share. Safe for threads.

    Parameters
    ----------
    databases
        Index files; none: the default one. All are searched, the first one is written to.
    models
        Options of each model: the first one searches and indexes, uploads are described by all.
    load
        Loads a model when it is first needed; None: `captioner.model.load`.
    """

    def __init__(
        self,
        databases: Sequence[Path] = (),
        models: Sequence[DescribeOptions] = (DEFAULT_OPTIONS,),
        load: Load | None = None,
        thumbnails: ThumbnailCache | None = None,
    ) -> None:
        self.databases = tuple(databases) or (database_path(),)
        self.models = tuple(
            ModelChoice(number, bundle_folder(options.bundle).name, options)
            for number, options in enumerate(models)
        )
        self.thumbnails = thumbnails or ThumbnailCache()
        self.jobs = Jobs()
        self.review = Review()
        self.finder: DisagreementFinder | None = None
        self._load = load or _load
        self.indexer = Indexer(self.databases[0], self.jobs, self._load_for_indexing)
        self._describers: dict[int, Describer] = {}
        self._model_locks = [threading.Lock() for _ in models]
        self._chunks = [ChunkCache() for _ in self.databases]
        self._idle: queue.LifoQueue[Reader] = queue.LifoQueue()
        self._planner: tuple[str, QueryPlanner] | None = None
        self._planner_lock = threading.Lock()
        self._closed = False
        self._lock = threading.Lock()

    @property
    def bundle(self) -> Path | None:
        """The bundle that interprets queries, as the search service takes it."""
        return self.models[0].options.bundle

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Borrow the indexes, open for reading. It never waits for a writer.

        To be used by one thread, and returned soon: `with workspace.reader() as reader:`.

        Raises
        ------
        CaptionerError
            If an index is missing or cannot be read.
        """
        try:
            reader = self._idle.get_nowait()
        except queue.Empty:
            with ExitStack() as opened:
                reader = Reader(
                    [
                        opened.enter_context(Index.open(path, chunks=chunks))
                        for path, chunks in zip(self.databases, self._chunks, strict=True)
                    ]
                )
                opened.pop_all()
        try:
            yield reader
        finally:
            with self._lock:
                if self._closed:
                    reader.close()
                else:
                    self._idle.put(reader)

    @contextmanager
    def writer(self) -> Iterator[Index]:
        """Open the first index for writing: for jobs that index. It is created if it is missing.

        Raises
        ------
        DatabaseUnavailableError
            If another process, or another job, is writing.
        """
        with Index.open(self.databases[0], write=True) as index:
            yield index

    def choice(self, number: int) -> ModelChoice:
        """A model by its number.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        if not 0 <= number < len(self.models):
            raise NotFoundError(
                f"there is no model number {number}.", "Name it with --model when you start."
            )
        return self.models[number]

    def planner(self) -> tuple[str, QueryPlanner]:
        """The id and the query planner of the first model, which need no engine."""
        with self._planner_lock:
            if self._planner is None:
                from captioner.model.query import load_planner

                self._planner = load_planner(self.bundle)
            return self._planner

    def version(self) -> tuple[tuple[int, int], ...]:
        """Of the files of all databases: every change of an index changes it."""
        found = []
        for path in self.databases:
            for file in (path, path.with_name(f"{path.name}-wal")):
                try:
                    status = os.stat(file)  # noqa: PTH116
                    found.append((status.st_mtime_ns, status.st_size))
                except OSError:  # both may be absent
                    found.append((0, 0))
        return tuple(found)

    @contextmanager
    def model(self, number: int = 0) -> Iterator[Describer]:
        """Borrow a model, which nobody else uses meanwhile. Loading it first takes seconds.

        Raises
        ------
        CaptionerError
            If there is no such model, or it cannot be loaded.
        """
        choice = self.choice(number)
        with self._model_locks[number]:
            if number not in self._describers:
                self._describers[number] = self._load(choice.options)
            yield self._describers[number]

    @contextmanager
    def suggester(self, number: int = 0) -> Iterator[Suggester]:
        """Borrow a loaded model for its suggestions from stored features, one thread at a time.

        Raises
        ------
        CaptionerError
            If there is no such model, or it cannot be loaded.
        """
        with self.model(number) as model:
            if not isinstance(model, Suggester):
                raise CaptionerError("this model suggests no sentences.")
            yield model

    def describe(self, photo: Photo, number: int = 0) -> Description | Failure:
        """Describe a photo's file by a model. Stores nothing."""
        from captioner.photos.read import read

        return self._describe(number, photo, lambda size: read(photo, size))

    def describe_file(self, name: str, file: BinaryIO, number: int = 0) -> Description | Failure:
        """Describe an open, seekable file, such as an upload, by a model. Stores nothing."""
        from captioner.photos.read import read_open

        photo = Photo(Path(name), file.seek(0, 2), 0)
        file.seek(0)
        return self._describe(number, photo, lambda size: read_open(photo, file, size))

    def close(self) -> None:
        """Stop all jobs and close all indexes; those in use, when they are returned.

        A connection must not be closed while another thread is using it.
        """
        self.jobs.close()
        with self._lock:
            self._closed = True
            while not self._idle.empty():
                self._idle.get_nowait().close()

    def _load_for_indexing(self) -> Describer:
        """The first model once more, for many photos: it is busy for hours."""
        return self._load(replace(self.models[0].options, photos=None))

    def _describe(
        self, number: int, photo: Photo, read: Callable[[int], DecodedPhoto]
    ) -> Description | Failure:
        with self.model(number) as describer:
            try:
                decoded = read(describer.size)
            except PhotoError as error:
                return Failure(photo.path, str(error), photo)
            [features] = describer.encode([decoded.rgb[None]])
            [description] = describer.describe([decoded], features)
        return description


def ensure_database(path: Path) -> None:
    """Create an empty index if there is no file, so that the page can fill it.

    Raises
    ------
    CaptionerError
        If it cannot be created.
    """
    if not path.exists():
        with Index.open(path, write=True):
            pass


def _load(options: DescribeOptions) -> Describer:
    from captioner import model

    return model.load(options)
