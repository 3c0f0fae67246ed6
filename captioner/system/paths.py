"""Paths by the rules of each system: one spelling of a file, addresses, long and reserved names."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from captioner import system

_path = os.path
"""The rules in force; tests put Windows' in their place."""

_VERBATIM = "\\\\?\\"
"""Before a path that Windows is to take as it stands, however long and whatever it is called."""
_LONGEST = 247
"""Characters of a path that every Windows opens without that."""
_FORBIDDEN = frozenset('<>:"|?*')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)


def absolute(path: Path | str) -> str:
    """The absolute path of a file in the one spelling by which it is known.

    Links are not followed. Where the file system takes several spellings of a name for the same
    (upper and lower case; accents of one or two characters), it is the one that it lists.
    """
    if not (system.WINDOWS or system.MAC):
        return _path.abspath(path)
    text = _absolute(os.fspath(path))
    if text.startswith(_VERBATIM):
        text = text.removeprefix(_VERBATIM)
        text = "\\\\" + text[4:] if text[:4].upper() == "UNC\\" else text
    return _listed(text)


def key(path: Path | str) -> bytes:
    """An absolute path in bytes; on POSIX, whatever its name."""
    return os.fsencode(absolute(path))


def sqlite_address(path: Path | str, parameters: str) -> str:
    """The address of a database file, for `sqlite3.connect(…, uri=True)`.

    SQLite takes the bytes as they are, so that a folder of any name works.
    """
    name = key(path)
    if system.WINDOWS:  # file:///C:/folder/x.db, file:////server/share/x.db
        name = name.replace(b"\\", b"/")
        name = name if name.startswith(b"/") else b"/" + name
    return f"file://{quote(name, safe='/:')}?{parameters}"


def verbatim(path: Path) -> Path:
    """A path that opens on Windows although it is long or has a reserved name in it.

    Elsewhere, and for other paths, as it is.
    """
    if not system.WINDOWS:
        return path
    text = os.fspath(path)
    if text.startswith(_VERBATIM):
        return path
    full, name = _absolute(text), _path.basename(text)
    if len(full) <= _LONGEST and not (_is_reserved(name) or _is_trimmed(name)):
        return path
    if full.startswith("\\\\"):
        return type(path)(f"{_VERBATIM}UNC{full[1:]}")
    return type(path)(_VERBATIM + full)


def forbidden(path: Path) -> str | None:
    """Why Windows would not make a file of this name, or make another; completes "NAME …"."""
    if not system.WINDOWS:
        return None
    name = _path.basename(os.fspath(path))
    if bad := sorted(_FORBIDDEN & set(name)):
        return f"has {' and '.join(bad)} in its name, which Windows does not allow."
    if _is_trimmed(name):
        return "ends with a space or a full stop, which Windows would drop."
    if _is_reserved(name):
        return "is called like a device of Windows."
    return None


def decoded(line: bytes) -> str:
    """One path from a list of them, as other programs print it.

    Windows' programs end lines with CR LF, and write names in UTF-8 or in the console's code page.
    """
    if not system.WINDOWS:
        return os.fsdecode(line)
    line = line.removesuffix(b"\r")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("oem", "replace")


def quoted(path: str) -> str:
    """A path as it is typed in the system's shell."""
    if system.WINDOWS:
        from subprocess import list2cmdline

        return list2cmdline([path])
    from shlex import quote as quote_for_shell

    return quote_for_shell(path)


def is_marked_hidden(found: os.stat_result) -> bool:
    """Whether a file or folder is hidden by a mark that Windows or macOS keeps with it."""
    return bool(
        getattr(found, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN
        or getattr(found, "st_flags", 0) & stat.UF_HIDDEN
    )


def _absolute(path: str) -> str:
    """An absolute path whose last name stays as it is: Windows trims it, and knows devices."""
    folder, name = _path.split(path)
    if name in ("", os.curdir, os.pardir):
        return _path.abspath(path)
    return _path.join(_path.abspath(folder), name)


def _is_trimmed(name: str) -> bool:
    return name.endswith((" ", ".")) and name not in (os.curdir, os.pardir)


def _is_reserved(name: str) -> bool:
    return name.partition(".")[0].rstrip(" ").casefold() in _RESERVED


def _listed(path: str) -> str:
    folder, name = _path.split(path)
    if not name:  # `/`, a drive, or a share, which ntpath gives without an end
        root = folder[:1].upper() + folder[1:] if folder[1:2] == ":" else folder
        return _path.join(root, _path.sep)
    folder = _listed_folder(folder)
    return _path.join(folder, _name(folder, name))


@lru_cache(4096)
def _listed_folder(path: str) -> str:
    return _listed(path)


def _name(folder: str, name: str) -> str:
    """A name as its folder lists it; as it is where nothing there is called so."""
    if name in _names(folder) or not _path.lexists(_path.join(folder, name)):
        return name
    _names.cache_clear()  # The file has come since the folder was listed, or is listed otherwise.
    names = _names(folder)
    if name in names:
        return name
    same = [one for one in names if _fold(one) == _fold(name)]
    if len(same) != 1:  # For instance a short name, PHOTOS~1.
        same = [one for one in same or names if _is_same(folder, one, name)]
    return same[0] if len(same) == 1 else name


@lru_cache(8)
def _names(folder: str) -> Collection[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return frozenset()


def _fold(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _is_same(folder: str, one: str, other: str) -> bool:
    try:
        found, wanted = (os.lstat(_path.join(folder, name)) for name in (one, other))
    except OSError:
        return False
    return os.path.samestat(found, wanted)
