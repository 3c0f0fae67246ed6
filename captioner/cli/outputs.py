"""Output files: checked so that no command overwrites a photo, a sidecar or one of its inputs.

`check_options` runs before every command. Commands write whole files through `replacing`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from captioner.cli import console
from captioner.errors import CaptionerError, UsageError

WRITTEN = frozenset({"log_file", "output", "backup", "html", "out", "work", "download"})
"""Names of the command parameters that are outputs; all other paths are inputs."""
DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")
"""Suffixes of the files that belong to a database."""
_SQLITE = b"SQLite format 3\0"


def check_options(values: Mapping[str, object], options: Mapping[str, str]) -> None:
    """Check that no output file is also named by another option of the command.

    Parameters
    ----------
    values
        The command's parameters, by name.
    options
        Each parameter's option, as spelled on the command line.

    Raises
    ------
    UsageError
        If one is, if the log file is something else, or if the database has a photo's name.
    """
    named = [
        (name, path)
        for name, value in values.items()
        for path in (value if isinstance(value, list | tuple) else [value])
        if isinstance(path, Path)
    ]
    written = [(name, path) for name, path in named if name in WRITTEN]
    chosen = values.get("database")
    if chosen or ("database" in values and (written or "CAPTIONER_DB" in os.environ)):
        from captioner.app_paths import database_path

        several = chosen if isinstance(chosen, list | tuple) else [chosen]
        for database in [one for one in several if isinstance(one, Path)] or [database_path()]:
            _check_database(database)
            for name, path in written:
                for ending in DATABASE_SUFFIXES:
                    own = database.with_name(database.name + ending) if ending else database
                    if database.name and _same(path, own):
                        raise UsageError(
                            f"{_shown(path)} is the database, or one of its files.",
                            f"Use another file for {options[name]}.",
                        )
    for number, (name, path) in enumerate(written):
        for other, another in [*written[number + 1 :], *(p for p in named if p[0] not in WRITTEN)]:
            if other != "database" and _same(path, another):
                raise UsageError(
                    f"{options[name]} and {options[other]} both refer to {_shown(path)}.",
                    f"Use another file for {options[name]}.",
                )
        if name == "log_file":
            _check_log(path)


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        if one.samefile(other):
            # Terminals and /dev/null may be named more than once.
            return one.is_file() or one.is_dir()
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):
        return False


def _check_database(path: Path) -> None:
    from captioner.photos.formats import may_be_photo

    if may_be_photo(path.name):
        raise UsageError(
            f"the database {_shown(path)} is named like a photo.",
            "Set --db or CAPTIONER_DB to a database file, such as captioner.db.",
        )


def _check_log(file: Path) -> None:
    """Check that a log file is new, empty, or text that lines can be appended to."""
    another = "Use another file for --log-file."
    if _is_photo(file) or file.suffix.lower() == ".xmp":
        raise UsageError(f"the log file {_shown(file)} is a photo or a sidecar.", another)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return  # a terminal or a pipe; opening a folder fails with its own message
        with file.open("rb") as opened:
            head = opened.read(4096)
            opened.seek(max(0, file.stat().st_size - 4096))
            tail = opened.read(4096)
    except OSError:
        return  # absent, or opening it fails with the reason
    # XML, such as a sidecar, HTML or SVG: nothing may follow its end.
    if b"\0" in head + tail or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        (b"<?", b"<!", b"<x")
    ):
        raise UsageError(f"{_shown(file)} does not look like a log file.", another)


def check_file(file: Path, option: str, *, force: bool, database: bool = False) -> Path:
    """Check that a file may be written or replaced; return its path with links resolved.

    Parameters
    ----------
    option
        The option that names the file.
    force
        Whether an existing file may be replaced: never a photo, a sidecar or a folder.
    database
        Whether the file may be a database, if it is not in use.

    Raises
    ------
    UsageError
        If it may not be written.
    """
    from captioner.system.paths import forbidden

    name, another = _shown(file), f"Use another file for {option}."
    if reason := forbidden(file):
        raise UsageError(f"{name} {reason}", another)
    if file.is_symlink() and not file.exists():
        raise UsageError(f"{name} is a broken link.", another)
    if _is_special(file):
        raise UsageError(f"{name} is not a file.", another)
    try:
        file = file.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{name} cannot be written: {error}.", another) from None
    if file.is_dir():
        raise UsageError(f"{name} is a folder.", another)
    if os.path.lexists(f"{file}-wal"):  # the -wal file would be applied to the replacement
        raise UsageError(f"{name} is a database that is in use.", another)
    if _is_photo(file) or file.suffix.lower() == ".xmp":
        raise UsageError(f"{name} is, or is named like, a photo or a sidecar.", another)
    if not file.exists():
        return file
    if not database and _begins(file, _SQLITE):
        raise UsageError(f"{name} is a database.", another)
    if not force:
        raise UsageError(f"{name} already exists.", "Use another file, or add --force.")
    if not os.access(file, os.W_OK):
        raise UsageError(f"{name} is read-only.", another)
    return file


@contextmanager
def replacing(file: Path, option: str, *, force: bool, database: bool = False) -> Iterator[Path]:
    """Context manager: a temporary file that replaces the named one once it is complete.

    Raises
    ------
    UsageError
        See `check_file`.
    CaptionerError
        If it cannot be written.
    """
    # Imported here since `check_options` runs before every command.
    import shutil

    from captioner.system.files import rename_new

    name = _shown(file)
    file = check_file(file, option, force=force, database=database)
    # Does not contain the file's name, which may already have the maximum length.
    temporary = file.with_name(f".captioner.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        temporary.open("xb").close()
        try:
            yield temporary
            if force:
                if file.exists():
                    shutil.copymode(file, temporary)
                temporary.replace(file)
            else:
                rename_new(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"{name} already exists.", "Use another file, or add --force.") from None
    except OSError as error:
        raise CaptionerError(
            f"{name} cannot be written: {error.strerror or error}.",
            f"Use another file for {option}.",
        ) from error


def _is_photo(file: Path) -> bool:
    """Whether a file is named like a photo or holds one."""
    from captioner.errors import PhotoError
    from captioner.photos.formats import detect_format, may_be_photo

    if may_be_photo(file.name):
        return True
    with suppress(OSError, PhotoError):
        if file.is_file():
            with file.open("rb") as opened:
                return bool(detect_format(opened))
    return False


def _is_special(file: Path) -> bool:
    """Whether a path is a device, a pipe or a socket, or a link to one, such as /dev/stdout."""
    # Checked before links are resolved: those in /proc resolve to names that do not exist.
    try:
        mode = file.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _begins(file: Path, magic: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(magic)) == magic
    except OSError:
        return False


def _shown(path: Path) -> str:
    return console.shown(str(path))
