"""Watching folders for changes: by the operating system's notifications, or by polling.

watchdog receives the notifications. This module adds what it leaves to its callers: folders behind
symbolic links, folders that are deleted and created again, drives that come and go, limits on the
number of watches, and network drives.
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

_FILE_EVENTS = (
    events.FileClosedEvent,
    events.FileCreatedEvent,
    events.FileDeletedEvent,
    events.FileModifiedEvent,
    events.FileMovedEvent,
)
# A folder that could not be read becomes readable by a change of its permissions.
_PERMISSIONS = getattr(events, "DirAttribEvent", events.DirDeletedEvent)
_FOLDER_EVENTS = (
    events.DirCreatedEvent,
    events.DirDeletedEvent,
    events.DirMovedEvent,
    _PERMISSIONS,
)
_FILTER: list[type[FileSystemEvent]] = list(dict.fromkeys((*_FILE_EVENTS, *_FOLDER_EVENTS)))
"""Without events of reading, which captioner causes itself."""

_MAX_SETTLE = 30.0
"""Seconds after which changes are returned even if they do not end."""
_TICK = 0.2
"""Seconds between two calls of `stop`."""
_CHECK_INTERVAL = 2.0
"""Seconds between two checks that the watched folders are still the same ones."""
_POLL_INTERVAL = 5.0
"""Seconds between two scans of a folder that the system does not watch, at least."""
_POLL_RATIO = 20
"""The pause after such a scan, in multiples of its duration, at least."""

_MAX_BROKEN_LINKS = 1000
"""Broken links that are checked again and again, at most."""

_TOO_MANY_FOLDERS = (
    "the system cannot watch so many folders. Raise its limit, on Linux: "
    "sudo sysctl fs.inotify.max_user_watches=1000000 fs.inotify.max_user_instances=1024"
)


def concerns_index(name: str) -> bool:
    """Whether a file of this name affects the index: a photo, a sidecar or an ignore file."""
    return may_be_photo(name) or is_sidecar(name) or name in (IGNORE_FILE, NO_MEDIA)


@dataclass(slots=True)
class _Scan:
    """The result of scanning a folder and everything below it."""

    folders: int = 0
    links: dict[str, str] = field(default_factory=dict)
    """From links to folders to their real paths."""
    broken_links: list[str] = field(default_factory=list)
    digest: int = 0
    """Of the paths, sizes and times of the files that concern the index."""


def _scan(start: str, *, hidden: bool, files: bool, stop: Callable[[], bool]) -> _Scan:
    """Scan a folder and everything below it, as the walk does: links are followed, each once.

    Parameters
    ----------
    hidden
        Whether to enter hidden folders.
    files
        Whether to compute the digest, for which each file is looked up.
    """
    scan = _Scan()
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
                        scan.links[entry.path] = os.path.realpath(entry.path)
                elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
                    scan.broken_links.append(entry.path)
                elif files and concerns_index(entry.name):
                    status = entry.stat()
                    scan.digest ^= hash((entry.path, status.st_size, status.st_mtime_ns))
    scan.folders = len(seen)
    return scan


def _identity(folder: str) -> object:
    """Device and inode of a folder, or its real path without inodes; None if there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 (is_dir may raise)
        return None
    try:
        status = os.stat(folder)  # noqa: PTH116 (text)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118 (text)


@dataclass(slots=True, eq=False)
class _Tree:
    """A real folder with everything below it: a named one, or the target of a link."""

    path: str
    identity: object
    watch: ObservedWatch | None = None
    """None if it is polled."""
    digest: int = 0
    next_poll: float = 0.0
    """On the monotonic clock, if it is polled."""


@dataclass(slots=True, eq=False)
class _Root:
    """A folder as the user named it, with the trees that are watched for it."""

    name: str
    trees: list[_Tree] = field(default_factory=list)
    """Empty while the folder does not exist."""
    links: frozenset[str] = frozenset()
    """Paths of the links to folders in it."""
    broken_links: tuple[str, ...] = ()
    """Paths of broken links, some of them if there are many."""
    folders: int = 0
    mount_points: frozenset[str] = frozenset()
    """Those below it."""
    stale: bool = False
    """Whether its trees may have changed, so that it is to be watched again."""
    exists: bool = True
    """As last reported."""
    reported: set[str] = field(default_factory=set)
    """Lines that were reported about it."""


class Watcher:
    """Watches folders and everything below them for changes. A context manager.

    Parameters
    ----------
    folders
        Names of folders.
    report
        Called with a line of text if a folder cannot be watched as usual.
    network
        The kind of the network file system that holds an absolute path; None for local disks. The
        system does not report what other machines change on network drives.
    mounted
        The mount points of all file systems, with their kinds; None if the system has no list.
    include_hidden
        Whether to watch hidden folders.

    Raises
    ------
    UsageError
        If one is not a folder.
    """

    def __init__(
        self,
        folders: Sequence[str],
        report: Callable[[str], None] = lambda line: None,
        *,
        network: Callable[[bytes], str | None] = lambda path: None,
        mounted: Callable[[], Mapping[bytes, str] | None] = lambda: None,
        include_hidden: bool = False,
    ) -> None:
        for folder in folders:
            if not os.path.isdir(folder):  # noqa: PTH112 (is_dir may raise)
                raise UsageError(f"{folder} is not a folder.", "Name a folder to watch.")
        self._report = report
        self._network = network
        self._mounted = mounted
        self._hidden = include_hidden
        self._stop: Callable[[], bool] = lambda: False
        self._changed: Queue[_Root] = Queue()
        self._roots = [_Root(folder) for folder in dict.fromkeys(folders)]
        self._observer: BaseObserver | None = None
        self._overflow_handler = _OverflowHandler(self)
        self._last_check = 0.0

    @property
    def folder_count(self) -> int:
        """How many folders are watched."""
        return sum(root.folders for root in self._roots)

    def __enter__(self) -> Self:
        warnings.filterwarnings("ignore", module="watchdog")
        logger = logging.getLogger("watchdog")
        logger.addHandler(self._overflow_handler)
        logger.propagate = False
        with suppress(OSError):  # for example because too many programs watch already
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
        logger.removeHandler(self._overflow_handler)
        logger.propagate = True

    def wait_for_changes(
        self, settle: float, stop: Callable[[], bool], *, timeout: float | None = None
    ) -> list[str]:
        """Wait until something changes and the changes settle.

        Parameters
        ----------
        settle
            Seconds without a change after which changes have settled.
        stop
            Called repeatedly; the wait ends when it returns True.
        timeout
            Seconds to wait for the first change; None waits for ever.

        Returns
        -------
        The folders in which something changed, as they were named.
        """
        changed: dict[_Root, None] = {}
        self._stop = stop
        start = last = time.monotonic()
        while not stop():
            self._check()
            now = time.monotonic()
            if changed and (now - last >= settle or now - start >= _MAX_SETTLE):
                break
            if not changed and timeout is not None and now - start >= timeout:
                break
            try:
                root = self._changed.get(timeout=_TICK)
            except Empty:
                continue
            last = time.monotonic()
            if not changed:
                start = last
            changed[root] = None
        for root in changed:  # before the caller walks them, so that later changes are noticed
            if root.stale:
                self._watch(root)
        return [root.name for root in changed]

    def events_lost(self) -> None:
        """Treat all folders as changed, because notifications were lost."""
        for root in self._roots:
            self.mark_changed(root, stale=True)

    def mark_changed(self, root: _Root, *, stale: bool) -> None:
        """Record that something changed in a folder. Thread-safe."""
        root.stale = root.stale or stale
        self._changed.put(root)

    def _check(self) -> None:
        """Look for changes that no notification reports, unless the last check was just now."""
        now = time.monotonic()
        if now - self._last_check < _CHECK_INTERVAL:
            return
        mount_points = self._mounted() or {}
        for root in self._roots:
            if root.stale:
                continue  # it is watched again as soon as its changes have settled
            found = _identity(root.name)
            known = root.trees[0].identity if root.trees else None
            if (
                found != known
                or any(_identity(tree.path) != tree.identity for tree in root.trees)
                or any(map(os.path.exists, root.broken_links))
                or (root.trees and root.mount_points != _mount_points_below(root, mount_points))
            ):
                self.mark_changed(root, stale=True)
            for tree in root.trees:
                if tree.watch is None and tree.next_poll <= now and self._poll(tree):
                    self.mark_changed(root, stale=False)
        self._last_check = time.monotonic()

    def _poll(self, tree: _Tree) -> bool:
        """Scan a folder that is not watched; whether it has changed since the last scan."""
        start = time.monotonic()
        scan = _scan(tree.path, hidden=self._hidden, files=True, stop=self._stop)
        end = time.monotonic()
        tree.next_poll = end + max(_POLL_INTERVAL, _POLL_RATIO * (end - start))
        changed, tree.digest = tree.digest != scan.digest, scan.digest
        return changed and not self._stop()

    def _unwatch(self, root: _Root) -> None:
        for tree in root.trees:
            if tree.watch and self._observer:
                with suppress(KeyError, OSError):
                    self._observer.unschedule(tree.watch)
        root.trees = []

    def _watch(self, root: _Root) -> None:
        """Watch a folder and the targets of links in it, as they are now."""
        root.stale = False
        polled = {tree.path: tree for tree in root.trees if tree.watch is None}
        self._unwatch(root)
        path = os.path.realpath(root.name)
        identity = _identity(path)
        if (identity is not None) != root.exists:
            root.exists = not root.exists
            self._report(
                f"{root.name} is back: watching it again."
                if root.exists
                else f"{root.name} no longer exists: waiting for it to come back."
            )
        if identity is None:
            return
        scan = _scan(path, hidden=self._hidden, files=False, stop=lambda: False)
        root.links, root.folders = frozenset(scan.links), scan.folders
        root.broken_links = tuple(scan.broken_links[:_MAX_BROKEN_LINKS])
        paths = [path]
        root.mount_points = frozenset()
        mount_points = self._mounted() or {}
        below = [point for point in map(os.fsdecode, mount_points) if _is_below(point, path)]
        network = [point for point in below if self._network(os.fsencode(point))]
        for target in sorted([*scan.links.values(), *network], key=len):
            if target in network or not any(_is_below(target, other) for other in paths):
                paths.append(target)
        for one in dict.fromkeys(paths):
            if (identity := _identity(one)) is not None:
                tree = _Tree(one, identity)
                root.trees.append(tree)
                reason = self._schedule(root, tree)
                if reason:
                    self._start_polling(root, tree, reason, polled.get(one))
                    if one == path:  # scans include the targets of links in it
                        break
        root.mount_points = _mount_points_below(root, mount_points)

    def _schedule(self, root: _Root, tree: _Tree) -> str | None:
        """Have the system report changes in a tree; the reason if it cannot."""
        kind = self._network(os.fsencode(tree.path))
        if kind:
            return f"the system reports no changes by other machines on network drives ({kind})."
        if not self._observer:
            return _TOO_MANY_FOLDERS
        handler = _EventHandler(self, root, tree)
        try:
            tree.watch = self._observer.schedule(
                handler, tree.path, recursive=True, event_filter=_FILTER
            )
            self._check_limit()
        except OSError as error:
            if tree.watch:
                self._observer.unschedule(tree.watch)
                tree.watch = None
            if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
                return _TOO_MANY_FOLDERS
            return f"it cannot be watched: {error.strerror or error}."
        return None

    def _check_limit(self) -> None:
        """Raise OSError if the limit on watches is reached.

        watchdog silently leaves out subfolders that exceed the limit. One more watch fails then.
        """
        if self._observer and sys.platform == "linux":
            handler = FileSystemEventHandler()
            filtered: list[type[FileSystemEvent]] = [events.DirDeletedEvent]
            watch = self._observer.schedule(handler, __file__, event_filter=filtered)
            self._observer.unschedule(watch)

    def _start_polling(self, root: _Root, tree: _Tree, reason: str, before: _Tree | None) -> None:
        if before:
            tree.digest, tree.next_poll = before.digest, before.next_poll
        else:
            self._poll(tree)
        line = f"Checking {tree.path} every few seconds instead of watching it: {reason}"
        if line not in root.reported:
            root.reported.add(line)
            self._report(line)


def _mount_points_below(root: _Root, mount_points: Mapping[bytes, str]) -> frozenset[str]:
    path = root.trees[0].path if root.trees else root.name
    return frozenset(point for point in map(os.fsdecode, mount_points) if _is_below(point, path))


class _EventHandler(FileSystemEventHandler):
    """Marks a root as changed by events in one of its trees that concern the index."""

    def __init__(self, watcher: Watcher, root: _Root, tree: _Tree) -> None:
        self._watcher = watcher
        self._root = root
        self._tree = tree

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, _FOLDER_EVENTS):
            # New folders may hold links or exceed the limit; the watched one may be gone itself.
            deleted = isinstance(event, events.DirDeletedEvent) and self._tree.path not in paths
            self._watcher.mark_changed(self._root, stale=not deleted)
        elif isinstance(event, _FILE_EVENTS):
            linked = any(path in self._root.links or _is_link_to_folder(path) for path in paths)
            if linked or any(concerns_index(os.path.basename(path)) for path in paths):  # noqa: PTH119
                self._watcher.mark_changed(self._root, stale=linked)


def _is_link_to_folder(path: str) -> bool:
    return os.path.islink(path) and os.path.isdir(path)  # noqa: PTH112, PTH114 (text)


class _OverflowHandler(logging.Handler):
    """Learns from watchdog's log that events were lost because the queue overflowed."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(logging.WARNING)
        self._watcher = watcher

    def emit(self, record: logging.LogRecord) -> None:
        """Mark all folders as changed."""
        if "overflow" in record.getMessage():
            self._watcher.events_lost()
