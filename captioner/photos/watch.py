"""What happens in folders while one looks on."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from types import TracebackType
from typing import Self

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from captioner.errors import CaptionerError, UsageError
from captioner.photos.formats import may_be_photo
from captioner.photos.sidecars import is_sidecar

_FILES = (FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent)
_FOLDERS = (DirCreatedEvent, DirDeletedEvent, DirMovedEvent)
_LONGEST = 30.0
"""Seconds after which even a folder that never settles is looked at."""
_TICK = 0.2
"""Seconds between two looks at whether to stop."""


class Watcher:
    """Folders, watched with all that is below them. A context manager.

    Raises
    ------
    UsageError
        Where one is not a folder.
    CaptionerError
        Where the system cannot watch so many.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._events: Queue[str] = Queue()
        self._observer = Observer()
        for folder in folders:
            if not os.path.isdir(folder):  # noqa: PTH112 (is_dir may raise)
                raise UsageError(f"{folder} is not a folder.", "Name one to watch.")
            self._observer.schedule(_Handler(folder, self._events), folder, recursive=True)

    def __enter__(self) -> Self:
        try:
            self._observer.start()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EMFILE):
                raise CaptionerError(
                    "the system cannot watch so many folders.",
                    "Raise its limit, on Linux: sudo sysctl fs.inotify.max_user_watches=1000000.",
                ) from error
            raise CaptionerError(f"cannot watch: {error}.") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._observer.stop()
        self._observer.join()

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
        touched: dict[str, None] = {}
        start = last = time.monotonic()
        while not stop():
            now = time.monotonic()
            if touched and (now - last >= settle or now - start >= _LONGEST):
                break
            if not touched and wait is not None and now - start >= wait:
                break
            try:
                folder = self._events.get(timeout=_TICK)
            except Empty:
                continue
            last = time.monotonic()
            if not touched:
                start = last
            touched[folder] = None
        return list(touched)


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: str, events: Queue[str]) -> None:
        self._folder = folder
        self._events = events

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Not what tells of reading, which we do ourselves, nor of files that are no photos, the
        # database perhaps.
        names = (str(event.src_path), str(event.dest_path))
        if isinstance(event, _FOLDERS) or (
            isinstance(event, _FILES) and any(may_be_photo(n) or is_sidecar(n) for n in names)
        ):
            self._events.put(self._folder)
