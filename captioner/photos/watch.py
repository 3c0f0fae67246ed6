"""Folders watched for changes: by the system's notifications, or else by looking again and again.

watchdog does the listening. Added here is what it leaves to its callers: folders behind links, a
folder that is deleted and made again, drives that come and go, limits, and network drives.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from types import TracebackType
from typing import TYPE_CHECKING, Self

from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from captioner.errors import UsageError
from captioner.photos.formats import may_be_photo
from captioner.photos.ignore_rules import IGNORE_FILE, NO_MEDIA, is_hidden
from captioner.photos.sidecars import is_sidecar

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

_FILES = (
    events.FileClosedEvent,
    events.FileCreatedEvent,
    events.FileDeletedEvent,
    events.FileModifiedEvent,
    events.FileMovedEvent,
)
# Reading a folder that could not be read before begins with a change of its rights.
_RIGHTS = getattr(events, "DirAttribEvent", events.DirDeletedEvent)
_FOLDERS = (events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent, _RIGHTS)
_FILTER: list[type[FileSystemEvent]] = list(dict.fromkeys((*_FILES, *_FOLDERS)))
"""Not the events of reading, which captioner does itself."""

_LONGEST = 30.0
"""Seconds after which even a folder that never settles is looked at."""
_TICK = 0.2
"""Seconds between two looks at whether to stop."""
_CHECK = 2.0
"""Seconds between two looks at whether the watched folders are still the same ones."""
_POLL = 5.0
"""Seconds between two looks into a folder of which the system does not notify."""
_SHARE = 20
"""How much longer than such a look the pause after it is, at least."""

_BROKEN = 1000
"""Links that lead to nothing, and are looked at again, at most."""

_TOO_MANY = (
    "the system cannot watch so many folders. Raise its limit, on Linux: "
    "sudo sysctl fs.inotify.max_user_watches=1000000 fs.inotify.max_user_instances=1024"
)


def concerns(name: str) -> bool:
    """Whether the file of a name has a say in what is indexed."""
    return may_be_photo(name) or is_sidecar(name) or name in (IGNORE_FILE, NO_MEDIA)


@dataclass(slots=True)
class _Scan:
    """What a look into a folder and all below it found."""

    folders: int = 0
    links: dict[str, str] = field(default_factory=dict)
    """Links to folders, and the real paths of these."""
    broken: list[str] = field(default_factory=list)
    """Links that lead to nothing."""
    digest: int = 0
    """Of the names, sizes and times of the files that concern the index."""


def _scan(start: str, *, hidden: bool, files: bool, stop: Callable[[], bool]) -> _Scan:
    """Look into a folder and all below it, as the walk does: links are followed, none twice.

    Parameters
    ----------
    files
        Whether to look at each file, for the digest.
    """
    found = _Scan()
    seen: set[object] = set()
    folders = [start]
    while folders and not stop():
        folder = folders.pop()
        try:
            identity = _identity(folder)
            if identity is None or identity in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as listed:
                entries = list(listed)
        except OSError:
            continue
        for entry in entries:
            if is_hidden(entry.name) and not hidden and entry.name not in (IGNORE_FILE, NO_MEDIA):
                continue
            with suppress(OSError):
                if entry.is_dir():
                    folders.append(entry.path)
                    if entry.is_symlink():
                        found.links[entry.path] = os.path.realpath(entry.path)
                elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
                    found.broken.append(entry.path)
                elif files and concerns(entry.name):
                    status = entry.stat()
                    found.digest ^= hash((entry.path, status.st_size, status.st_mtime_ns))
    found.folders = len(seen)
    return found


def _identity(folder: str) -> object:
    """What a path leads to: device and inode; None where there is no folder."""
    if not os.path.isdir(folder):  # noqa: PTH112 (is_dir may raise)
        return None
    try:
        found = os.stat(folder)  # noqa: PTH116 (text)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(folder)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118 (text)


@dataclass(slots=True, eq=False)
class _Tree:
    """A real folder with all below it: one that was named, or one that a link there leads to."""

    path: str
    identity: object
    watch: ObservedWatch | None = None
    """None where it is polled."""
    digest: int = 0
    due: float = 0.0
    """When to look again, where it is polled."""


@dataclass(slots=True, eq=False)
class _Root:
    """A folder as it was named."""

    name: str
    trees: list[_Tree] = field(default_factory=list)
    """Empty while it is not there."""
    links: frozenset[str] = frozenset()
    """Paths of the links to folders in it."""
    broken: tuple[str, ...] = ()
    """Paths of some of the links that lead to nothing."""
    folders: int = 0
    mounted: frozenset[str] = frozenset()
    """Where file systems are mounted below it."""
    stale: bool = False
    """Whether its trees may be others by now."""
    there: bool = True
    """Whether it exists, as far as was said."""
    said: set[str] = field(default_factory=set)
    """What was said of it."""


class Watcher:
    """Folders, watched with all that is below them. A context manager.

    Parameters
    ----------
    folders
        Names of folders.
    say
        Called with a line where a folder cannot be watched as usual, and what is done instead.
    network
        Gives the kind of the network drive that holds an absolute path; None for a disk. The system
        does not notify of what other machines do there.
    mounted
        Gives the places where file systems are mounted, if the system keeps a list.
    include_hidden
        Whether hidden folders count.

    Raises
    ------
    UsageError
        Where one is not a folder.
    """

    def __init__(
        self,
        folders: Sequence[str],
        say: Callable[[str], None] = lambda line: None,
        *,
        network: Callable[[bytes], str | None] = lambda path: None,
        mounted: Callable[[], Mapping[bytes, str] | None] = lambda: None,
        include_hidden: bool = False,
    ) -> None:
        for folder in folders:
            if not os.path.isdir(folder):  # noqa: PTH112 (is_dir may raise)
                raise UsageError(f"{folder} is not a folder.", "Name one to watch.")
        self._say = say
        self._network = network
        self._mounted = mounted
        self._hidden = include_hidden
        self._stop: Callable[[], bool] = lambda: False
        self._touched: Queue[_Root] = Queue()
        self._roots = [_Root(folder) for folder in dict.fromkeys(folders)]
        self._observer: BaseObserver | None = None
        self._losses = _Losses(self)
        self._checked = 0.0

    @property
    def folders(self) -> int:
        """How many folders are watched."""
        return sum(root.folders for root in self._roots)

    def __enter__(self) -> Self:
        warnings.filterwarnings("ignore", module="watchdog")
        logger = logging.getLogger("watchdog")
        logger.addHandler(self._losses)
        logger.propagate = False
        with suppress(OSError):  # as where too many programs listen already
            self._observer = Observer()
            self._observer.start()
        for root in self._roots:
            self._watch(root)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._observer:
            self._observer.stop()
            self._observer.join()
        logger = logging.getLogger("watchdog")
        logger.removeHandler(self._losses)
        logger.propagate = True

    def touched(
        self, settle: float, stop: Callable[[], bool], *, wait: float | None = None
    ) -> list[str]:
        """Wait for changes, and for their end; the folders that they happened in, as given.

        Parameters
        ----------
        settle
            Seconds without a change that make an end.
        stop
            Asked all the time whether to give up waiting.
        wait
            Seconds to wait for the first change; for ever if None.
        """
        touched: dict[_Root, None] = {}
        self._stop = stop
        start = last = time.monotonic()
        while not stop():
            self._check()
            now = time.monotonic()
            if touched and (now - last >= settle or now - start >= _LONGEST):
                break
            if not touched and wait is not None and now - start >= wait:
                break
            try:
                root = self._touched.get(timeout=_TICK)
            except Empty:
                continue
            last = time.monotonic()
            if not touched:
                start = last
            touched[root] = None
        for root in touched:  # before the caller looks into them, so that nothing is missed after
            if root.stale:
                self._watch(root)
        return [root.name for root in touched]

    def lost_events(self) -> None:
        """Take it that anything may have happened anywhere."""
        for root in self._roots:
            self.touch(root, stale=True)

    def touch(self, root: _Root, *, stale: bool) -> None:
        """Note that something has happened in a folder. Called from any thread."""
        root.stale = root.stale or stale
        self._touched.put(root)

    def _check(self) -> None:
        """Find out what no notification tells of, if it is time to."""
        now = time.monotonic()
        if now - self._checked < _CHECK:
            return
        mounted = self._mounted() or {}
        for root in self._roots:
            if root.stale:
                continue  # about to be watched as it is now, once it has settled
            there = _identity(root.name)
            known = root.trees[0].identity if root.trees else None
            if (
                there != known
                or any(_identity(tree.path) != tree.identity for tree in root.trees)
                or any(map(os.path.exists, root.broken))
                or (root.trees and root.mounted != _mounted_below(root, mounted))
            ):
                self.touch(root, stale=True)
            for tree in root.trees:
                if tree.watch is None and tree.due <= now and self._look(root, tree):
                    self.touch(root, stale=False)
        self._checked = time.monotonic()

    def _look(self, root: _Root, tree: _Tree) -> bool:
        """Whether a folder that is polled has changed since the last look."""
        start = time.monotonic()
        found = _scan(tree.path, hidden=self._hidden, files=True, stop=self._stop)
        end = time.monotonic()
        tree.due = end + max(_POLL, _SHARE * (end - start))
        changed, tree.digest = tree.digest != found.digest, found.digest
        return changed and not self._stop()

    def _drop(self, root: _Root) -> None:
        for tree in root.trees:
            if tree.watch and self._observer:
                with suppress(KeyError, OSError):
                    self._observer.unschedule(tree.watch)
        root.trees = []

    def _watch(self, root: _Root) -> None:
        """Watch a folder, and those that links in it lead to, as they are now."""
        root.stale = False
        polled = {tree.path: tree for tree in root.trees if tree.watch is None}
        self._drop(root)
        path = os.path.realpath(root.name)
        identity = _identity(path)
        if (identity is not None) != root.there:
            root.there = not root.there
            self._say(
                f"{root.name} is back: watching it again."
                if root.there
                else f"{root.name} no longer exists: waiting for it to come back."
            )
        if identity is None:
            return
        found = _scan(path, hidden=self._hidden, files=False, stop=lambda: False)
        root.links, root.folders = frozenset(found.links), found.folders
        root.broken = tuple(found.broken[:_BROKEN])
        paths = [path]
        root.mounted = frozenset()
        points = self._mounted() or {}
        below = [point for point in map(os.fsdecode, points) if _is_below(point, path)]
        network = [point for point in below if self._network(os.fsencode(point))]
        for target in sorted([*found.links.values(), *network], key=len):
            if target in network or not any(_is_below(target, other) for other in paths):
                paths.append(target)
        for one in dict.fromkeys(paths):
            if (identity := _identity(one)) is not None:
                tree = _Tree(one, identity)
                root.trees.append(tree)
                reason = self._listen(root, tree)
                if reason:
                    self._poll(root, tree, reason, polled.get(one))
                    if one == path:  # with all that links in it lead to
                        break
        root.mounted = _mounted_below(root, points)

    def _listen(self, root: _Root, tree: _Tree) -> str | None:
        """Have the system notify of a folder; the reason if it cannot."""
        kind = self._network(os.fsencode(tree.path))
        if kind:
            return f"changes by other machines on its network drive ({kind}) are not notified."
        if not self._observer:
            return _TOO_MANY
        handler = _Handler(self, root, tree)
        try:
            tree.watch = self._observer.schedule(
                handler, tree.path, recursive=True, event_filter=_FILTER
            )
            self._probe()
        except OSError as error:
            if tree.watch:
                self._observer.unschedule(tree.watch)
                tree.watch = None
            if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
                return _TOO_MANY
            return f"it cannot be watched: {error.strerror or error}."
        return None

    def _probe(self) -> None:
        """Raise OSError where the limit on watches is reached.

        Of folders below the one that it is asked to watch, watchdog leaves out in silence what
        exceeds the limit. Then there is no room for one more either.
        """
        if self._observer and sys.platform == "linux":
            handler = FileSystemEventHandler()
            filtered: list[type[FileSystemEvent]] = [events.DirDeletedEvent]
            watch = self._observer.schedule(handler, __file__, event_filter=filtered)
            self._observer.unschedule(watch)

    def _poll(self, root: _Root, tree: _Tree, reason: str, before: _Tree | None) -> None:
        if before:
            tree.digest, tree.due = before.digest, before.due
        else:
            self._look(root, tree)
        line = f"Looking into {tree.path} every few seconds instead of watching it: {reason}"
        if line not in root.said:
            root.said.add(line)
            self._say(line)


def _mounted_below(root: _Root, points: Mapping[bytes, str]) -> frozenset[str]:
    path = root.trees[0].path if root.trees else root.name
    return frozenset(point for point in map(os.fsdecode, points) if _is_below(point, path))


class _Handler(FileSystemEventHandler):
    """Tells a watcher of the events in one tree that concern the index."""

    def __init__(self, watcher: Watcher, root: _Root, tree: _Tree) -> None:
        self._watcher = watcher
        self._root = root
        self._tree = tree

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, _FOLDERS):
            # New folders may hold links, or exceed the limit; the watched one may be gone itself.
            deleted = isinstance(event, events.DirDeletedEvent) and self._tree.path not in paths
            self._watcher.touch(self._root, stale=not deleted)
        elif isinstance(event, _FILES):
            linked = any(path in self._root.links or _leads_to_folder(path) for path in paths)
            if linked or any(concerns(os.path.basename(path)) for path in paths):  # noqa: PTH119
                self._watcher.touch(self._root, stale=linked)


def _leads_to_folder(path: str) -> bool:
    return os.path.islink(path) and os.path.isdir(path)  # noqa: PTH112, PTH114 (text)


class _Losses(logging.Handler):
    """Hears from watchdog's log that events were lost, as when they came too fast."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(logging.WARNING)
        self._watcher = watcher

    def emit(self, record: logging.LogRecord) -> None:
        """Have everything looked at again."""
        if "overflow" in record.getMessage():
            self._watcher.lost_events()
