"""The output folder of a bundle: checked before any work, changed only once all files are written.

It may be absent or empty. An earlier bundle is replaced only with `force`: it is renamed, the new
one takes its name, and then the old one's files are removed, one by one, each only if it has the
checksum that its own `bundle.json` lists. Other files in the folder are never moved or removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from captioner.errors import CaptionerError, UsageError
from captioner.system.files import rename_new

MANIFEST = "bundle.json"
SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""File managers write them into folders, and do so again when they are removed."""

State = Literal["absent", "empty", "bundle"]

_ANOTHER = "Name a new or empty folder."


def check(folder: Path, *, force: bool = False) -> State:
    """Check that a bundle can be written to a folder; changes nothing.

    Parameters
    ----------
    force
        Whether an earlier bundle there may be replaced.

    Returns
    -------
    What is there now.

    Raises
    ------
    UsageError
        If it cannot: why not, and what to do.
    """
    try:
        return _check(folder, force=force)
    except OSError as error:
        raise UsageError(f"{folder} cannot be used: {error.strerror or error}.", _ANOTHER) from None
    except RuntimeError:  # until Python 3.13, of a loop of links
        raise UsageError(f"{folder} is a loop of links.", _ANOTHER) from None


def _check(folder: Path, *, force: bool) -> State:
    if folder.is_symlink() and not folder.exists():
        raise UsageError(f"{folder} is a link to something that does not exist.", _ANOTHER)
    # A link to a folder stays a link; the folder that it leads to is changed.
    real = folder.resolve()
    if not exists(real):
        check_writable(nearest(real.parent))
        return "absent"
    if not real.is_dir():
        raise UsageError(f"{folder} is a file, not a folder.", _ANOTHER)
    if not any(real.iterdir()):
        check_writable(real)
        return "empty"
    others = other_files(real)
    if others is None:
        raise UsageError(
            f"{folder} contains files but is not a bundle, so it will not be replaced.", _ANOTHER
        )
    if others:
        some = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise UsageError(
            f"{folder} is a bundle, but some files in it were added or changed: {some}.",
            "Move the folder away, or name a new or empty one.",
        )
    if not force:
        raise UsageError(
            f"{folder} already contains a bundle.",
            "Name another folder, or replace it with --force.",
        )
    here = Path.cwd()
    if here == real or here.is_relative_to(real):
        raise UsageError(
            f"{folder} is the current folder, which cannot be replaced.",
            "Run the command from another folder.",
        )
    if os.path.ismount(real):
        raise UsageError(
            f"{folder} is a mount point, which cannot be renamed.", "Name another folder."
        )
    _free_name(real)
    check_writable(real.parent)
    check_writable(real)
    return "bundle"


def other_files(folder: Path) -> list[str] | None:
    """Names in a bundle's folder that do not belong to the bundle, sorted; None for no bundle.

    A file belongs to the bundle if `bundle.json` lists it with its SHA-256.
    """
    sums = _checksums(folder)
    if sums is None:
        return None
    return sorted(
        entry.name for entry in os.scandir(folder) if not _is_replaceable(Path(entry.path), sums)
    )


def _checksums(folder: Path) -> Mapping[str, str] | None:
    file = folder / MANIFEST
    if file.is_symlink() or not file.is_file():
        return None
    try:
        manifest = json.loads(file.read_text("utf-8"))
        sums = manifest["files"]
        is_manifest = isinstance(manifest["format"], int) and all(
            isinstance(name, str) and len(bytes.fromhex(total)) == 32
            for name, total in sums.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return sums if is_manifest and sums else None


def _is_replaceable(file: Path, sums: Mapping[str, str]) -> bool:
    """Whether a file belongs to the bundle, or is a system file; never a folder or a link."""
    if not stat.S_ISREG(file.lstat().st_mode):
        return False
    if file.name == MANIFEST or file.name in SYSTEM_FILES:
        return True
    return file.name in sums and hashlib.sha256(file.read_bytes()).hexdigest() == sums[file.name]


def exists(path: Path) -> bool:
    """Whether there is anything of this name, a broken link included.

    Raises
    ------
    OSError
        If there cannot be: the name is too long, or a parent is a file.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def nearest(folder: Path) -> Path:
    """The closest ancestor of a folder that exists, or the folder itself."""
    while not exists(folder):
        folder = folder.parent
    return folder


def check_writable(folder: Path) -> None:
    """Check that folders can be created in a folder, by creating one and removing it.

    Raises
    ------
    OSError
        If they cannot.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is not a folder")
    # By trying: permissions alone do not reveal a read-only or a full disk.
    Path(tempfile.mkdtemp(dir=folder, prefix=".bundle-")).rmdir()


@contextmanager
def replacing(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield an empty folder to write a bundle into; it replaces `folder` when the block succeeds.

    If the block raises, or replacing fails, nothing is changed.

    Raises
    ------
    UsageError
        As `check`.
    CaptionerError
        If the disk is full or the folder cannot be changed after all.
    """
    state = check(folder, force=force)
    real = folder.resolve()
    parent = real if state == "empty" else real.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=".bundle-"))
        try:
            new = scratch / "new"
            new.mkdir()
            yield new
            _flush(new)
            _install(new, real, state, scratch, force=force)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise CaptionerError(
            f"the bundle cannot be written to {folder}: {error.strerror or error}.",
            "Free some space or name another folder, and run the command again with --resume.",
        ) from error


def _install(new: Path, folder: Path, state: State, scratch: Path, *, force: bool) -> None:
    if state == "empty":
        _check_still_empty(folder, scratch)
        _fill(folder, new)
        return
    # Checked again: training takes hours, and the folder may have changed since.
    if check(folder, force=force) == "bundle":
        old = _free_name(folder)
        folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            old.rename(folder)
            raise
        _flush_names(folder.parent)
        _remove(old)
    else:
        # The system does not rename a folder over a file or over a folder that is not empty.
        new.rename(folder)


def _check_still_empty(folder: Path, scratch: Path) -> None:
    appeared = sorted(entry.name for entry in folder.iterdir() if entry.name != scratch.name)
    if appeared:
        raise UsageError(
            f"{folder} is no longer empty: {', '.join(appeared[:3])}.",
            "Move that away and run the command again with --resume.",
        )


def _fill(folder: Path, new: Path) -> None:
    """Move files into a folder without replacing it: it may be a mount or the current folder."""
    moved: list[Path] = []
    try:
        # The manifest makes it a bundle, so it comes last.
        for file in sorted(new.iterdir(), key=lambda file: file.name == MANIFEST):
            target = folder / file.name
            rename_new(file, target)
            moved.append(target)
    except BaseException:
        for file in moved:
            file.unlink(missing_ok=True)
        raise


def _free_name(folder: Path) -> Path:
    for number in range(1, 1000):
        name = folder.with_name(f"{folder.name}.old" + (f"-{number}" if number > 1 else ""))
        if not exists(name):
            return name
    raise FileExistsError(errno.EEXIST, f"{folder}.old exists")


def _remove(old: Path) -> None:
    """Remove the files that belong to a bundle, and the folder if nothing else is in it."""
    sums = _checksums(old) or {}
    with suppress(OSError):
        for file in sorted(old.iterdir(), key=lambda file: file.name == MANIFEST):
            if _is_replaceable(file, sums):
                file.unlink()
        old.rmdir()


def _flush(folder: Path) -> None:
    """Write files through to the disk, before what they replace is removed."""
    for file in folder.iterdir():
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    with suppress(OSError):  # Windows cannot open folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
