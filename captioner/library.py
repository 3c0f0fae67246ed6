"""A library of photos: `Library.open().search("dog running")`.

The Python counterpart of `captioner index`, `search` and `similar`: an index file, and the model
that fills and searches it. The model is loaded when it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from captioner import search as searching
from captioner.app_paths import database_path
from captioner.errors import PhotoError, UsageError
from captioner.index import Filters, Hit, Index, Statistics
from captioner.model.options import DEFAULT_OPTIONS, DescribeOptions
from captioner.search import NO_FILTERS, SearchResults

if TYPE_CHECKING:
    from captioner.indexing import Result, UpdateSummary
    from captioner.types import Describer, Description, Failure, Photo

StrPath = str | os.PathLike[str]


class Library:
    """An index of photos and the model that describes and finds them. A context manager.

    Parameters
    ----------
    index
        The open index, or several to search as one; `Library.open` opens them.
    options
        Which bundle describes and searches, and on which device.
    load
        Loads the describer; None: `captioner.model.load` with `options`.
    """

    def __init__(
        self,
        index: Index | Sequence[Index],
        options: DescribeOptions = DEFAULT_OPTIONS,
        load: Callable[[], Describer] | None = None,
    ) -> None:
        self._indexes = [index] if isinstance(index, Index) else list(index)
        self._index = self._indexes[0]
        self._options = options
        self._load = load
        self._describer: Describer | None = None

    @classmethod
    def open(
        cls,
        database: StrPath | Sequence[StrPath] | None = None,
        *,
        write: bool = False,
        options: DescribeOptions = DEFAULT_OPTIONS,
        load: Callable[[], Describer] | None = None,
    ) -> Self:
        """Open a library for reading or, with `write`, for indexing too.

        Parameters
        ----------
        database
            The index file. None: `CAPTIONER_DB`, or the default path that `captioner info` prints.
            Several are searched and ranked as one; all else that a library does is done in the
            first.
        write
            Create the file if it is missing, and lock it against other writers.

        Raises
        ------
        UsageError
            If there is nothing to read, or several are to be written.
        CaptionerError
            If another process is writing, or the file is not an index or has a newer version.
        """
        if database is None:
            paths = [database_path()]
        elif isinstance(database, str | os.PathLike):
            paths = [Path(database)]
        else:
            paths = [Path(one) for one in database] or [database_path()]
        if write and len(paths) > 1:
            raise UsageError("only one database can be written at a time.", "Name one.")
        with ExitStack() as opened:
            indexes = [opened.enter_context(Index.open(path, write=write)) for path in paths]
            opened.pop_all()
        return cls(indexes, options, load)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for index in self._indexes:
            index.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the index file."""
        for index in self._indexes:
            index.close()

    @property
    def path(self) -> Path:
        """The index file."""
        return self._index.path

    def index(
        self,
        paths: StrPath | Iterable[StrPath],
        *,
        exclude: Sequence[str] = (),
        include_hidden: bool = False,
        retry_failed: bool = False,
        recaption: bool = False,
        progress: Callable[[Result], None] | None = None,
    ) -> UpdateSummary:
        """Describe and store the photos of folders: those that are new or have changed.

        Parameters
        ----------
        paths
            Folders and photos. Indexed photos that no longer exist there are marked as missing.
        exclude
            Patterns of files and folders to skip, in the syntax of .gitignore.
        retry_failed
            Retry photos that could not be read before, though they have not changed.
        recaption
            Recaption photos that another model captioned.
        progress
            Called with each result once it is stored.

        Raises
        ------
        CaptionerError
            If the library was opened for reading, or the index cannot be written.
        """
        from captioner.indexing import UpdateOptions, update
        from captioner.model import weights
        from captioner.photos.walk import Selection, listings

        inputs = [paths] if isinstance(paths, str | os.PathLike) else paths
        roots = [Path(path) for path in inputs]
        ids = weights(self._options.bundle) if recaption else None
        return update(
            self._index,
            listings(roots, Selection(tuple(exclude), include_hidden)),
            self.describer,
            roots=roots,
            options=UpdateOptions(retry_failed, ids),
            progress=progress or (lambda result: None),
        )

    def search(
        self,
        query: str | None = None,
        *,
        limit: int = 10,
        exact: bool = False,
        filters: Filters = NO_FILTERS,
        min_score: float | None = None,
        like: StrPath | None = None,
    ) -> SearchResults:
        """Find photos by words, or the newest ones if `query` is None; see `captioner.search`.

        Raises
        ------
        PhotoError
            If the photo `like` cannot be read.
        """
        results = searching.search(
            self._indexes,
            query,
            bundle=self._options.bundle,
            limit=limit,
            exact=exact,
            filters=filters,
            min_score=min_score,
            like=None if like is None else Path(like),
            describe=self._describe,
        )
        return _results(results)

    def similar(
        self,
        photo: StrPath,
        *,
        limit: int = 10,
        filters: Filters = NO_FILTERS,
        min_score: float | None = None,
    ) -> SearchResults:
        """Find photos that look like `photo`, which may be outside the library.

        See `captioner.search`.

        Raises
        ------
        PhotoError
            If the photo cannot be read.
        UsageError
            If it is a folder.
        """
        results = searching.similar(
            self._indexes,
            Path(photo),
            self._describe,
            bundle=self._options.bundle,
            limit=limit,
            filters=filters,
            min_score=min_score,
        )
        return _results(results)

    def photos(self, *, limit: int = 2**31, filters: Filters = NO_FILTERS) -> list[Hit]:
        """The photos of the library with their captions, newest first."""
        return self._index.newest(limit=limit, filters=filters)

    def edit(self, photo: StrPath, caption: str) -> None:
        """Store your caption of a photo, shown before the model's; "" removes it."""
        self._index.set_caption(Path(photo), caption)

    def edit_keywords(
        self, photo: StrPath, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> None:
        """Add keywords of yours to a photo, and remove yours or the model's for good."""
        self._index.edit_keywords(Path(photo), add=add, remove=remove)

    def stats(self) -> Statistics:
        """How many photos the library has, by status, model, camera and year."""
        return self._index.statistics()

    def describer(self) -> Describer:
        """The model, loaded once."""
        if self._describer is None:
            if self._load:
                self._describer = self._load()
            else:
                from captioner import model

                self._describer = model.load(self._options)
        return self._describer

    def _describe(self, photo: Photo) -> Description | Failure:
        from captioner.execution import describe

        [result] = describe([photo], self.describer())
        return result


def _results(found: SearchResults | Failure) -> SearchResults:
    if isinstance(found, SearchResults):
        return found
    raise PhotoError(found.reason)
