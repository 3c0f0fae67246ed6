"""An index kept in step with folders: `walk → survey → recognise → describe → store`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

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
from captioner.photos.ignored import IgnoreFiles
from captioner.recognition import TOGETHER, groups, unknown
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

Result = Description | Failure | RecognisedPhoto
Progress = Callable[[Result], None]
Warn = Callable[[Path, str], None]

MANY = 1000
"""Results that are stored at once at most, when most of them are failures."""
_SMALL = 32
"""Side of the square, where what matters is not the pixels."""


@dataclass
class Summary:
    """What an update of the index came to, in photos."""

    described: int = 0
    failed: int = 0
    unchanged: int = 0
    """In the index as they are, by their date or their content."""
    moved: int = 0
    copied: int = 0
    back: int = 0
    """Of the unchanged, those that had been missing."""
    missing: int = 0
    """Gone, since this update."""
    retold: int = 0
    """Described by another model from the features of before, unopened."""
    stopped: bool = False
    """Whether `stop` ended it early."""
    ignored: int = 0
    """Named by an ignore file, since this update."""
    sidecars: int = 0
    """Unchanged themselves, with sidecars that are new, have changed or are gone."""


@dataclass(frozen=True)
class Options:
    """What an update does beyond the usual.

    Parameters
    ----------
    retry_failed
        Try again what failed, though it has not changed.
    recaption
        Describe anew what these weights did not, from the stored features where they fit.
    """

    retry_failed: bool = False
    recaption: BundleIds | None = None


@dataclass
class Plan:
    """What a walk found, and what is to be done about it."""

    survey: Scan
    todo: dict[Photo, Change] = field(default_factory=dict)
    """In the order found."""
    unseen: list[Failure] = field(default_factory=list)
    """What the walk could not look at."""
    retell: list[int] = field(default_factory=list)
    """Ids of the photos to describe from their features."""
    sidecars: list[Photo] = field(default_factory=list)
    """The photos that are as they were, but for their sidecars."""


def plan(
    index: Index,
    found: Iterable[Listing | Failure],
    options: Options,
    *,
    below: Sequence[Path] = (),
    stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """Hold what a walk finds against the index. Opens no photo and writes nothing.

    Parameters
    ----------
    below
        Folders whose photos `recaption` concerns, wherever they are now; all if none.
    stop
        Asked now and then whether to end the walk.
    """
    survey = index.scan(retry_failed=options.retry_failed, bundle=options.recaption)
    made = Plan(survey)

    def seen() -> Iterator[Listing]:
        for one in found:
            if stop():
                return
            if isinstance(one, Listing):
                yield one
            else:
                made.unseen.append(one)

    todo = dict(survey.changes(seen()))  # folders may be named twice
    made.todo = {photo: why for photo, why in todo.items() if why is not Change.SIDECAR}
    made.sidecars = [photo for photo in todo if photo not in made.todo]
    if options.recaption:
        made.retell = index.ids_to_recaption(options.recaption, below)
    return made


def update(
    index: Index,
    found: Iterable[Listing | Failure],
    load: Callable[[], Describer],
    *,
    roots: Sequence[Path] = (),
    everywhere: bool = False,
    options: Options = Options(),
    planned: Callable[[int], None] = lambda total: None,
    progress: Progress = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
    warn: Warn = lambda sidecar, reason: None,
    workers: int | None = None,
) -> Summary:
    """Bring an index in step with a walk: describe what is new, keep what only moved.

    Parameters
    ----------
    index
        Open for writing.
    found
        What `listings` of the walk yields.
    load
        Makes the describer; called only where a photo can be read, or retold, that needs it.
    roots
        The paths walked. What is gone at or below them is marked as missing, and so is what was
        once named and is gone from the folders of named files.
    everywhere
        Look for what is gone outside these paths as well: below folders that were deleted, and
        among all photos that were once named.
    planned
        Called once, before anything is described, with how often `progress` will be called.
    progress
        Called as soon as a photo is done with: what it has to say is stored by then.
    stop
        Asked between two photos. Once it says yes, those in hand are finished and stored.
    warn
        Told of each sidecar that cannot be read, and why. Its photo is indexed all the same.
    workers
        Threads that decode; see `pipeline.describe`.

    Stores a batch at a time. On an interrupt, or any other exception, what is finished is stored
    before it is raised on.
    """
    made = plan(index, found, options, below=roots, stop=stop)
    planned(len(made.unseen) + len(made.sidecars) + len(made.todo) + len(made.retell))
    run = _Run(index, load, progress, stop, warn, workers)
    for failure in made.unseen:
        run.done(failure)
    run.read_sidecars(made.sidecars)
    run.describe(made.todo)
    run.retell(made.retell)
    run.summary.unchanged += made.survey.unchanged
    run.summary.stopped = stop()
    if not run.summary.stopped:
        walked = ScannedPaths.classify(map(path_key, roots), everywhere=everywhere)
        lost = vanished(index, made, walked)
        index.finish_scan(made.survey, walked, lost)
        run.summary.back = len(made.survey.reappeared)
        run.summary.missing = sum(one.reason == "gone" for one in lost)
        run.summary.ignored = len(lost) - run.summary.missing
    return run.summary


def vanished(index: Index, made: Plan, walked: ScannedPaths) -> list[MissingPhoto]:
    """The photos that a walk to the end did not find though the index knows them."""
    files: dict[Path, IgnoreFiles] = {}

    def ignored(root: Path, path: Path) -> bool:
        return files.setdefault(root, IgnoreFiles(root)).leave_out(path)

    return index.find_missing(
        made.survey,
        walked,
        new=(photo.path for photo in made.todo),
        unreadable=(failure.path for failure in made.unseen),
        is_ignored=ignored,
    )


def removable(index: Index, below: Sequence[Path] = ()) -> tuple[list[IndexedPhoto], int]:
    """The photos that are gone or ignored now, and how many marked ones are found again."""
    roots = set(index.roots())
    files = {root: IgnoreFiles(root) for root in roots}
    found: list[IndexedPhoto] = []
    marked = index.missing_photos(below)
    for one in marked:
        if not is_file(os.fsencode(one.path)):
            found.append(replace(one, reason="gone"))
        elif one.reason == "ignored":
            root = next((above for above in one.path.parents if above in roots), None)
            if root and files[root].leave_out(one.path):
                found.append(one)
    back = len(marked) - len(found)
    found += index.unmarked_missing(below)
    return sorted(found, key=lambda one: os.fsencode(one.path)), back


def _with_sidecars(result: Description | Failure) -> tuple[Photo, Facts] | None:
    """A photo that has sidecars, and the facts in its own file; None if it has none."""
    if result.photo is None or not result.photo.sidecars:
        return None
    if isinstance(result, Failure) and result.transient:
        return None
    return result.photo, result.facts if isinstance(result, Description) else Facts()


class _Run:
    """One update at work."""

    def __init__(
        self,
        index: Index,
        load: Callable[[], Describer],
        progress: Progress,
        stop: Callable[[], bool],
        warn: Warn,
        workers: int | None,
    ) -> None:
        self.summary = Summary()
        self._index = index
        self._load = load
        self._progress = progress
        self._stop = stop
        self._warn = warn
        self._workers = workers
        self._describer: Describer | None = None

    def done(self, result: Result) -> None:
        """Count and tell one photo."""
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
        """Describe photos and store what is said of them, but keep those whose content is known."""
        copies: dict[Photo, bytes] = {}
        keep = self._keep
        self._describe(unknown(self._index, todo, keep, copies, done=self.done, stop=self._stop))
        for some in groups(copies.items(), TOGETHER):
            if self._stop():
                return
            kept = {one.photo: one for one in keep(some)}
            for one in kept.values():
                self.done(one)
            # Those left are copies of a photo that failed: so will they, each in its own name.
            self._describe(photo for photo, _ in some if photo not in kept)

    def read_sidecars(self, photos: Sequence[Photo]) -> None:
        """Read again what is said beside photos; they are not described again."""
        for some in groups(photos, TOGETHER):
            if self._stop():
                return
            self._store_sidecars({photo: self._index.embedded_facts(photo) for photo in some})
            for photo in some:
                self.done(RecognisedPhoto(photo, "sidecar", photo.path))

    def retell(self, ids: Sequence[int]) -> None:
        """Describe photos from their features."""
        for some in groups(ids, self._describer_now().batch_size) if ids else ():
            if self._stop():
                return
            describer = self._describer_now()
            descriptions = describer.describe(*self._index.features(some))
            self._index.store_recaptioned(descriptions, describer.model_id)
            self.summary.retold += len(descriptions)
            for description in descriptions:
                self._progress(description)

    def _keep(self, photos: Iterable[tuple[Photo, bytes]]) -> list[RecognisedPhoto]:
        """`Index.store_recognised`, and what is said beside the photos where they are now."""
        kept = self._index.store_recognised(photos)
        others = self._index.with_changed_sidecars(one.photo for one in kept)
        self._store_sidecars({photo: self._index.embedded_facts(photo) for photo in others})
        return kept

    def _store_sidecars(self, own: Mapping[Photo, Facts | None]) -> None:
        """Read the sidecars of photos, and store what they say with the facts in the photos.

        Photos whose facts are None, which an older captioner has read, are opened for them.
        """
        if not own:
            return
        from captioner.photos.sidecar_facts import read

        unread = [photo for photo, facts in own.items() if facts is None]
        facts = {**own, **self._read_own(unread)}
        found = []
        for photo in own:
            known = facts[photo] or Facts()
            said, files = read(photo, known, self._warn)
            found.append(SidecarFacts(photo, said, known, files))
        self._index.store_sidecar_facts(found)

    def _read_own(self, photos: Sequence[Photo]) -> dict[Photo, Facts | None]:
        """The facts in photos' own files; as they are known where a file cannot be read now."""
        if not photos:
            return {}
        from captioner.pipeline import decode

        with ThreadPoolExecutor(self._workers, thread_name_prefix="facts") as pool:
            read = pool.map(lambda photo: decode(photo, _SMALL), photos)
            return {
                photo: one.facts if isinstance(one, DecodedPhoto) else self._index.facts(photo.path)
                for photo, one in zip(photos, read, strict=True)
            }

    def _describe(self, photos: Iterator[Photo]) -> None:
        photos = self._from_first_readable(photos)
        first = next(photos, None)
        if first is None:
            return
        from captioner.pipeline import describe  # Pillow loads for those who open a photo

        describer = self._describer_now()
        finished: list[Description | Failure] = []
        described, size = 0, describer.batch_size
        try:
            results = describe(chain([first], photos), describer, workers=self._workers)
            with closing(results):
                for result in results:
                    finished.append(result)
                    if isinstance(result, Description):
                        described += 1
                        # What is stored at once is what was described at once, whatever failed.
                        if described % size == 0:
                            self._store(finished)
                    elif len(finished) >= MANY:
                        self._store(finished)
        finally:
            self._store(finished)

    def _from_first_readable(self, photos: Iterator[Photo]) -> Iterator[Photo]:
        """Pass photos on once there is one that can be read: for others no model is loaded."""
        for photo in photos:
            from captioner.pipeline import decode

            result = decode(photo, _SMALL)
            if not isinstance(result, Failure):
                yield photo
                break
            self._store([result])
        yield from photos

    def _store(self, finished: list[Description | Failure]) -> None:
        """Store results and tell of them; empties the list once that is done."""
        if self._describer:
            self._index.store(finished, self._describer.model_id, self._describer.encoder_id)
        else:  # nothing but failures yet
            self._index.store(finished)
        self._store_sidecars(dict(filter(None, map(_with_sidecars, finished))))
        told = finished.copy()
        finished.clear()
        for result in told:
            self.done(result)

    def _describer_now(self) -> Describer:
        if self._describer is None:
            self._describer = self._load()
        return self._describer
