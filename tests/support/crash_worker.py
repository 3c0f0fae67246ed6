"""A process that updates an index in child processes, one at a time, for tests to kill.

Reads a folder per line from stdin: `FOLDER` to run to the end, `FOLDER<tab>N` to be killed just
before the Nth begin or commit of a transaction. Prints each child's process id and, after another
line of input, waits for it and prints its exit status.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from recording_describer import RecordingDescriber

from captioner.execution import decoding, threads
from captioner.index import Index
from captioner.indexing import Result, update
from captioner.photos.walk import listings
from captioner.types import DecodedPhoto, Description, Failure, Features

assert decoding and threads  # loaded before forking, since all children need them


class LoggingDescriber(RecordingDescriber):
    """Slow, and logs what it has described."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log

    def describe(self, pixels: Sequence[DecodedPhoto], features: Features) -> list[Description]:
        time.sleep(0.01)
        with self._log.open("a") as log:
            log.writelines(f"{one.photo.path}\n" for one in pixels)
        return super().describe(pixels, features)


def child(folder: Path, deadline: int | None) -> None:
    photos = folder / "photos"

    def told(result: Result) -> None:
        path = result.path if isinstance(result, Failure) else result.photo.path
        with (folder / "done").open("a") as log:
            log.write(f"{path}\n")

    with Index.open(folder / "captioner.db", write=True) as index:
        seen = count()

        def trace(statement: str) -> None:
            if statement.startswith(("BEGIN", "COMMIT")) and next(seen) == deadline:
                os.kill(os.getpid(), signal.SIGKILL)

        index._connection.set_trace_callback(trace)
        update(
            *(index, listings([photos]), lambda: LoggingDescriber(folder / "described")),
            roots=[photos],
            progress=told,
        )


for line in sys.stdin:
    folder, _, deadline = line.rstrip("\n").partition("\t")
    number = os.fork()
    if not number:
        child(Path(folder), int(deadline) if deadline else None)
        os._exit(0)
    print(number, flush=True)
    sys.stdin.readline()  # until waited for, its process id is not reused
    print(os.waitpid(number, 0)[1], flush=True)
