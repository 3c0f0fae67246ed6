"""Arrays of features on disk: written row by row, continued after a kill, mapped when complete.

An array is a file of NumPy's format with float16. While it is written it is called
`NAME.partial.npy`; only one process writes it, and others wait for it.
"""

from __future__ import annotations

import math
import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np

from captioner.errors import CaptionerError
from captioner.system.locks import try_lock
from captioner.types import FloatArray, HalfArray

WAIT_SECONDS = 0.5
"""Between attempts to lock what another process is writing."""


def mapped(file: Path) -> HalfArray:
    """A complete array, float16: rows are read from the file when they are used."""
    array: HalfArray = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def release(array: HalfArray) -> None:
    """Let go of the rows of a mapped array that were read; they stay in the system's cache.

    Without this, a process that reads all rows once appears to use as much memory as the file is
    large. Other arrays are left alone.
    """
    mapping = getattr(array, "_mmap", None)
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


class ArrayWriter:
    """Writes the rows of several arrays that belong together, after those that are there already.

    By writing, not by mapping: on a full disk that is an error, and not the end of the process.
    """

    def __init__(self, files: Mapping[Path, tuple[int, ...]], opened: ExitStack) -> None:
        headers = {file: _header(shape) for file, shape in files.items()}
        self._outputs = []
        self._row_bytes = [2 * math.prod(shape[2:]) for shape in files.values()]
        rows = []
        for (file, header), size in zip(headers.items(), self._row_bytes, strict=True):
            output = opened.enter_context(_partial(file).open("a+b"))
            output.seek(0)
            same = output.read(len(header)) == header
            length = output.seek(0, os.SEEK_END)
            rows.append((length - len(header)) // size if same else 0)
            self._outputs.append(output)
        self.done = min(rows)
        """Rows that are there, in all arrays."""
        for output, header, size in zip(
            self._outputs, headers.values(), self._row_bytes, strict=True
        ):
            if not self.done:
                output.truncate(0)
                output.write(header)
            output.truncate(len(header) + self.done * size)

    def append(self, arrays: Sequence[FloatArray | HalfArray]) -> None:
        """Write rows, one array (rows, …) for each file, so that a kill loses at most these."""
        for output, array in zip(self._outputs, arrays, strict=True):
            output.write(array.astype("<f2").tobytes())
            output.flush()
        self.done += len(arrays[0])

    def sync(self) -> None:
        """Write all rows through to the disk."""
        for output in self._outputs:
            output.flush()
            os.fsync(output.fileno())


@contextmanager
def writing(files: Mapping[Path, tuple[int, ...]]) -> Iterator[ArrayWriter | None]:
    """Write arrays of shapes (photos, views, …); they get their names when all rows are there.

    Yields None if they are complete, which another process may just have made them. If the block
    raises, and if the process is killed, the next call goes on after the rows that were written.

    Raises
    ------
    CaptionerError
        If they cannot be written: the disk is full, for example.
    """
    folder = next(iter(files)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(next(iter(files)).with_suffix(".lock")):
            if all(file.is_file() for file in files):
                yield None
                return
            with ExitStack() as opened:
                writer = ArrayWriter(files, opened)
                yield writer
                writer.sync()
            for file in files:
                _partial(file).replace(file)
    except OSError as error:
        raise CaptionerError(
            f"features cannot be stored in {folder}: {error.strerror or error}.",
            "Free some space there, or set CAPTIONER_HOME to a folder on a larger disk. What was "
            "stored is kept.",
        ) from error


def _partial(file: Path) -> Path:
    return file.with_suffix(".partial.npy")


def _header(shape: tuple[int, ...]) -> bytes:
    text = BytesIO()
    description = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(text, description)
    return text.getvalue()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock, waiting for it; its file is removed afterwards."""
    try:
        with file.open("ab") as opened:
            with suppress(OSError):  # a network drive without locks
                while not try_lock(opened.fileno()):
                    time.sleep(WAIT_SECONDS)
            yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open elsewhere.
            file.unlink()
