"""Files that a person names for results: nothing else that they name is ever taken for one.

`check_options` runs before every command. A command that writes a file as a whole does so through
`replacing`.
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
"""Parameters of commands that name what is written; all others that hold paths are read."""
BESIDE_DATABASE = ("", "-wal", "-shm", "-journal", ".lock")
"""Endings of the database's own files."""
_SQLITE = b"SQLite format 3\0"


def check_options(values: Mapping[str, object], options: Mapping[str, str]) -> None:
    """See that no two options of a command name the same file where one of them is written.

    Parameters
    ----------
    values
        The command's parameters, by name.
    options
        How each is spelled on the command line.

    Raises
    ------
    UsageError
        Where they do; where a log file is no log, or the database is no database.
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

        database = chosen if isinstance(chosen, Path) else database_path()
        _check_database(database)
        for name, path in written:
            for ending in BESIDE_DATABASE:
                own = database.with_name(database.name + ending) if ending else database
                if database.name and _same(path, own):
                    raise UsageError(
                        f"{_shown(path)} is the database itself, or a part of it.",
                        f"Name another file with {options[name]}.",
                    )
    for number, (name, path) in enumerate(written):
        for other, another in [*written[number + 1 :], *(p for p in named if p[0] not in WRITTEN)]:
            if other != "database" and _same(path, another):
                raise UsageError(
                    f"{options[name]} and {options[other]} both name {_shown(path)}.",
                    f"Name another with {options[name]}.",
                )
        if name == "log_file":
            _check_log(path)


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        if one.samefile(other):
            # Terminals and /dev/null may be named as often as one likes.
            return one.is_file() or one.is_dir()
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):
        return False


def _check_database(path: Path) -> None:
    from captioner.photos.formats import may_be_photo

    if may_be_photo(path.name):
        raise UsageError(
            f"{_shown(path)} has the name of a photo.",
            "Name a database with --db or CAPTIONER_DB, such as captioner.db.",
        )


def _check_log(file: Path) -> None:
    """See that a log file is new, empty, or text that lines can be added to."""
    another = "Name another with --log-file."
    if _is_photo(file) or file.suffix.lower() == ".xmp":
        raise UsageError(f"the log file {_shown(file)} is a photo or its sidecar.", another)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return  # a terminal, a pipe; of a folder, opening says what it is
        with file.open("rb") as opened:
            head = opened.read(4096)
            opened.seek(max(0, file.stat().st_size - 4096))
            tail = opened.read(4096)
    except OSError:
        return  # absent; or opening will say why it cannot be written
    # XML begins so: a sidecar, a page, a drawing. Nothing may come after its end.
    if b"\0" in head + tail or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        (b"<?", b"<!", b"<x")
    ):
        raise UsageError(f"the log file {_shown(file)} is not a log but something else.", another)


def check_file(file: Path, option: str, *, force: bool, database: bool = False) -> Path:
    """See that a file may be written as a whole; the file that it is when links are followed.

    Parameters
    ----------
    option
        That names the file.
    force
        Whether a file that is there may be replaced: never a photo, a sidecar, or a folder.
    database
        Whether it may be a database that is not in use.

    Raises
    ------
    UsageError
        Where it may not.
    """
    from captioner.system.paths import forbidden

    name, another = _shown(file), f"Name another file with {option}."
    if reason := forbidden(file):
        raise UsageError(f"{name} {reason}", another)
    if file.is_symlink() and not file.exists():
        raise UsageError(f"{name} is a link to a file that does not exist.", another)
    if _is_special(file):
        raise UsageError(f"{name} is not a file.", another)
    try:
        file = file.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{name} cannot be written: {error}.", another) from None
    if file.is_dir():
        raise UsageError(f"{name} is a folder.", another)
    if os.path.lexists(f"{file}-wal"):  # it would be read into what replaces the file
        raise UsageError(f"{name} is a database in use.", another)
    if _is_photo(file) or file.suffix.lower() == ".xmp":
        raise UsageError(f"{name} is a photo or its sidecar, or is named like one.", another)
    if not file.exists():
        return file
    if not database and _begins(file, _SQLITE):
        raise UsageError(f"{name} is a database.", another)
    if not force:
        raise UsageError(f"{name} is there already.", "Name another file, or add --force.")
    if not os.access(file, os.W_OK):
        raise UsageError(f"{name} is write-protected.", another)
    return file


@contextmanager
def replacing(file: Path, option: str, *, force: bool, database: bool = False) -> Iterator[Path]:
    """A file to write, which becomes the one that was named once it is complete.

    Raises
    ------
    UsageError
        As `check_file`.
    CaptionerError
        Where it cannot be written.
    """
    # Not when `check_options` runs alone, before every command.
    import shutil

    from captioner.system.files import rename_new

    name = _shown(file)
    file = check_file(file, option, force=force, database=database)
    # Not with the file's own name in it, which may be as long as the system allows.
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
        raise UsageError(
            f"{name} is there already.", "Name another file, or add --force."
        ) from None
    except OSError as error:
        raise CaptionerError(
            f"{name} cannot be written: {error.strerror or error}.", "Name another file."
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
    """Whether a path leads to a device, a pipe or a socket, as /dev/stdout does."""
    # Asked before links are followed by name: those in /proc lead to names that do not exist.
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
