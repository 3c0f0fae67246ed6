"""Indexing: brings an index up to date with folders.

`walk → compare → recognise → describe → store`, one batch per transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.deduplication import BATCH_SIZE, batched, unrecognised
from captioner.index import (
    Change,
    Index,
    IndexedPhoto,
    MissingPhoto,
    Scan,
    ScannedPaths,
    SidecarFacts,
)
from captioner.index.absence import is_file
from captioner.index.database import path_key
from captioner.photos.ignore_files import IgnoreFiles
from captioner.types import (
    BundleIds,
    DecodedPhoto,
    Describer,
    Description,
    Facts,
    Failure,
    Listing,
    Photo,
    RecognisedPhoto,
)

if TYPE_CHECKING:
    from captioner.execution import Executor

Result = Description | Failure | RecognisedPhoto
Progress = Callable[[Result], None]
Warn = Callable[[Path, str], None]

MAX_STORED = 1000
"""Results in one transaction at most, when most of them are failures."""
_TINY = 32
"""Size in pixels to decode photos to if only their readability or their facts matter."""


@dataclass
class UpdateSummary:
    """How many photos an update described, recognised, failed to read or found missing."""

    described: int = 0
    failed: int = 0
    unchanged: int = 0
    """In the index already, recognised by size and date or by content."""
    moved: int = 0
    copied: int = 0
    back: int = 0
    """The unchanged photos among them that were missing before."""
    missing: int = 0
    """Found to be missing by this update."""
    recaptioned: int = 0
    """Recaptioned from stored features, without opening the photo."""
    stopped: bool = False
    """Whether `stop` ended the update early."""
    ignored: int = 0
    """Found by this update to be excluded by an ignore file."""
    sidecars: int = 0
    """Unchanged photos whose sidecars are new, changed or gone."""

    def changes(self) -> list[str]:
        """What changed, beside new photos, in words: "2 moved", "1 gone"."""
        counted = (
            (self.recaptioned, "recaptioned"),
            (self.moved, "moved"),
            (self.copied, "copy of another" if self.copied == 1 else "copies of others"),
            (self.sidecars, "with changed sidecars"),
            (self.failed, "could not be read"),
            (self.missing, "gone"),
            (self.ignored, "now ignored"),
            (self.back, "reappeared"),
        )
        return [f"{number:,} {words}" for number, words in counted if number]


@dataclass(frozen=True)
class UpdateOptions:
    """What an update does beyond indexing new and changed photos.

    Parameters
    ----------
    retry_failed
        Retry photos that could not be read, though they have not changed.
    recaption
        Recaption photos that this bundle has not captioned, from their stored features if the
        encoder is the same. None: do not recaption.
    """

    retry_failed: bool = False
    recaption: BundleIds | None = None


@dataclass
class UpdatePlan:
    """What a walk found, and what to do about it."""

    scan: Scan
    todo: dict[Photo, Change] = field(default_factory=dict)
    """The photos to open in the order found, each with the reason."""
    unreadable: list[Failure] = field(default_factory=list)
    """Folders and files that the walk could not read."""
    recaption: list[int] = field(default_factory=list)
    """Ids of the photos to recaption from stored features."""
    sidecars: list[Photo] = field(default_factory=list)
    """Unchanged photos whose sidecars have changed."""


def plan_update(
    index: Index,
    found: Iterable[Listing | Failure],
    options: UpdateOptions,
    *,
    below: Sequence[Path] = (),
    stop: Callable[[], bool] = lambda: False,
) -> UpdatePlan:
    """Compare what a walk finds with the index. Opens no photo and writes nothing.

    Parameters
    ----------
    below
        Folders whose photos to recaption, wherever they are now; all if none.
    stop
        Called now and then; True ends the walk.
    """
    scan = index.scan(retry_failed=options.retry_failed, bundle=options.recaption)
    plan = UpdatePlan(scan)

    def readable() -> Iterator[Listing]:
        for one in found:
            if stop():
                return
            if isinstance(one, Listing):
                yield one
            else:
                plan.unreadable.append(one)

    todo = dict(scan.changes(readable()))  # folders may be named twice
    plan.todo = {photo: why for photo, why in todo.items() if why is not Change.SIDECAR}
    plan.sidecars = [photo for photo in todo if photo not in plan.todo]
    if options.recaption:
        plan.recaption = index.ids_to_recaption(options.recaption, below)
    return plan


def update(
    index: Index,
    found: Iterable[Listing | Failure],
    load: Callable[[], Describer],
    *,
    roots: Sequence[Path] = (),
    everywhere: bool = False,
    options: UpdateOptions = UpdateOptions(),
    planned: Callable[[int], None] = lambda total: None,
    progress: Progress = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
    warn: Warn = lambda sidecar, reason: None,
    workers: int | None = None,
    executor: Callable[[], Executor] | None = None,
) -> UpdateSummary:
    """Bring an index up to date with a walk: describe new photos, recognise moved ones.

    Parameters
    ----------
    index
        Open for writing.
    found
        What `listings` of the walk yields.
    load
        Loads the model; called only if there is a readable photo to describe.
    roots
        The paths walked. Photos that no longer exist at or below them are marked as missing; so are
        photos once indexed by path that no longer exist in the folders of the files in `roots`.
    everywhere
        Look for missing photos outside these paths as well: below deleted folders, and among all
        photos once indexed by path.
    planned
        Called once, before anything is described, with the number of calls of `progress` to come.
    progress
        Called with each result, once it is stored.
    stop
        Called between two photos. Once it returns True, photos in progress are finished and stored.
    warn
        Called with each sidecar that cannot be read, and the reason. Its photo is still indexed.
    workers
        Photos decoded at the same time; see `captioner.execution.Executor.describe`.
    executor
        Gives the executor that describes, called only if there is a photo to describe; None: the
        default one.

    Stores one batch at a time. On an interrupt, or any other exception, finished results are stored
    before it propagates.
    """
    plan = plan_update(index, found, options, below=roots, stop=stop)
    planned(len(plan.unreadable) + len(plan.sidecars) + len(plan.todo) + len(plan.recaption))
    run = _Update(index, load, progress, stop, warn, workers, executor)
    for failure in plan.unreadable:
        run.done(failure)
    run.read_sidecars(plan.sidecars)
    run.describe(plan.todo)
    run.recaption(plan.recaption)
    run.summary.unchanged += plan.scan.unchanged
    run.summary.stopped = stop()
    if not run.summary.stopped:
        walked = ScannedPaths.classify(map(path_key, roots), everywhere=everywhere)
        missing = find_missing(index, plan, walked)
        index.finish_scan(plan.scan, walked, missing)
        run.summary.back = len(plan.scan.reappeared)
        run.summary.missing = sum(one.reason == "gone" for one in missing)
        run.summary.ignored = len(missing) - run.summary.missing
    return run.summary


def find_missing(index: Index, plan: UpdatePlan, walked: ScannedPaths) -> list[MissingPhoto]:
    """The indexed photos that a complete walk did not find."""
    files: dict[Path, IgnoreFiles] = {}

    def ignored(root: Path, path: Path) -> bool:
        return files.setdefault(root, IgnoreFiles(root)).ignores(path)

    return index.find_missing(
        plan.scan,
        walked,
        new=(photo.path for photo in plan.todo),
        unreadable=(failure.path for failure in plan.unreadable),
        is_ignored=ignored,
    )


def removable(index: Index, below: Sequence[Path] = ()) -> tuple[list[IndexedPhoto], int]:
    """The photos that are missing or ignored, and how many marked ones have reappeared."""
    roots = set(index.roots())
    files = {root: IgnoreFiles(root) for root in roots}
    found: list[IndexedPhoto] = []
    marked = index.missing_photos(below)
    for one in marked:
        if not is_file(os.fsencode(one.path)):
            found.append(replace(one, reason="gone"))
        elif one.reason == "ignored":
            root = next((above for above in one.path.parents if above in roots), None)
            if root and files[root].ignores(one.path):
                found.append(one)
    back = len(marked) - len(found)
    found += index.unmarked_missing(below)
    return sorted(found, key=lambda one: os.fsencode(one.path)), back


def _with_sidecars(result: Description | Failure) -> tuple[Photo, Facts] | None:
    """A photo with sidecars, and the facts in its own file; None if it has no sidecars."""
    if isinstance(result, Failure) and result.transient:
        return None
    if result.photo is None or not result.photo.sidecars:
        return None
    return result.photo, result.facts if isinstance(result, Description) else Facts()


class _Update:
    """One update of an index while it runs."""

    def __init__(
        self,
        index: Index,
        load: Callable[[], Describer],
        progress: Progress,
        stop: Callable[[], bool],
        warn: Warn,
        workers: int | None,
        executor: Callable[[], Executor] | None,
    ) -> None:
        self.summary = UpdateSummary()
        self._index = index
        self._load = load
        self._progress = progress
        self._stop = stop
        self._warn = warn
        self._workers = workers
        self._executor = executor
        self._describer: Describer | None = None

    def done(self, result: Result) -> None:
        """Count one result and report it."""
        match result:
            case Description():
                self.summary.described += 1
            case Failure():
                self.summary.failed += 1
            case RecognisedPhoto(change="moved"):
                self.summary.moved += 1
            case RecognisedPhoto(change="copied"):
                self.summary.copied += 1
            case RecognisedPhoto(change="sidecar"):
                self.summary.sidecars += 1
            case RecognisedPhoto():
                self.summary.unchanged += 1
        self._progress(result)

    def describe(self, todo: dict[Photo, Change]) -> None:
        """Describe and store photos, except those whose content is in the index already."""
        copies: dict[Photo, bytes] = {}
        recognise = self._recognise
        self._describe(
            unrecognised(self._index, todo, recognise, copies, done=self.done, stop=self._stop)
        )
        for batch in batched(copies.items(), BATCH_SIZE):
            if self._stop():
                return
            recognised = {one.photo: one for one in recognise(batch)}
            for one in recognised.values():
                self.done(one)
            # The others are copies of a photo that failed: they fail as well, one by one.
            self._describe(photo for photo, _ in batch if photo not in recognised)

    def read_sidecars(self, photos: Sequence[Photo]) -> None:
        """Read the sidecars of photos again, without describing the photos again."""
        for batch in batched(photos, BATCH_SIZE):
            if self._stop():
                return
            self._store_sidecars({photo: self._index.embedded_facts(photo) for photo in batch})
            for photo in batch:
                self.done(RecognisedPhoto(photo, "sidecar", photo.path))

    def recaption(self, ids: Sequence[int]) -> None:
        """Recaption photos from their stored features."""
        for batch in batched(ids, self._describer_now().batch_size) if ids else ():
            if self._stop():
                return
            describer = self._describer_now()
            descriptions = describer.describe(*self._index.features(batch))
            self._index.store_recaptioned(descriptions, describer.model_id)
            self.summary.recaptioned += len(descriptions)
            for description in descriptions:
                self._progress(description)

    def _recognise(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """Recognise photos by content, and read the sidecars that are next to them now."""
        recognised = self._index.store_recognised(photos)
        others = self._index.with_changed_sidecars(one.photo for one in recognised)
        self._store_sidecars({photo: self._index.embedded_facts(photo) for photo in others})
        return recognised

    def _store_sidecars(self, own: Mapping[Photo, Facts | None]) -> None:
        """Read the sidecars of photos, and store their facts together with those in the photos.

        Photos whose facts are None, because an older version indexed them, are opened.
        """
        if not own:
            return
        from captioner.photos.sidecar_facts import read

        unread = [photo for photo, facts in own.items() if facts is None]
        facts = {**own, **self._read_own(unread)}
        found = []
        for photo in own:
            in_photo = facts[photo] or Facts()
            combined, files = read(photo, in_photo, self._warn)
            found.append(SidecarFacts(photo, combined, in_photo, files))
        self._index.store_sidecar_facts(found)

    def _read_own(self, photos: Sequence[Photo]) -> dict[Photo, Facts | None]:
        """The facts in photos' own files; those in the index if a file cannot be read now."""
        if not photos:
            return {}
        from captioner.execution.decoding import decode

        with ThreadPoolExecutor(self._workers, thread_name_prefix="facts") as pool:
            read = pool.map(lambda photo: decode(photo, _TINY), photos)
            return {
                photo: one.facts if isinstance(one, DecodedPhoto) else self._index.facts(photo.path)
                for photo, one in zip(photos, read, strict=True)
            }

    def _describe(self, photos: Iterator[Photo]) -> None:
        photos = self._from_first_readable(photos)
        first = next(photos, None)
        if first is None:
            return
        from captioner import execution  # loads Pillow, which is needed only to open photos

        executor = self._executor() if self._executor else execution.get()
        staging = executor if isinstance(executor, execution.StagingExecutor) else None
        describer = self._describer_now()
        finished: list[Description | Failure] = []
        # An executor that stages results may not have started an engine here.
        described, size = 0, BATCH_SIZE if staging else describer.batch_size
        try:
            results = executor.describe(chain([first], photos), describer, workers=self._workers)
            with closing(results):
                for result in results:
                    finished.append(result)
                    if isinstance(result, Description):
                        described += 1
                        # One transaction per batch of described photos, however many others failed.
                        if described % size == 0:
                            self._store(finished)
                    elif len(finished) >= MAX_STORED:
                        self._store(finished)
                    if staging and self._stop():
                        break
        finally:
            self._store(finished)
        if staging:
            staging.stored()

    def _from_first_readable(self, photos: Iterator[Photo]) -> Iterator[Photo]:
        """Pass photos on from the first readable one: before it, no model needs to be loaded."""
        for photo in photos:
            from captioner.execution.decoding import decode

            result = decode(photo, _TINY)
            if not isinstance(result, Failure):
                yield photo
                break
            self._store([result])
        yield from photos

    def _store(self, finished: list[Description | Failure]) -> None:
        """Store results and report them; empties the list."""
        if self._describer:
            self._index.store(finished, self._describer.model_id, self._describer.encoder_id)
        else:  # only failures yet
            self._index.store(finished)
        self._store_sidecars(dict(filter(None, map(_with_sidecars, finished))))
        stored = finished.copy()
        finished.clear()
        for result in stored:
            self.done(result)

    def _describer_now(self) -> Describer:
        if self._describer is None:
            self._describer = self._load()
        return self._describer
