"""Paths by each system's rules: canonical spelling, SQLite URIs, long and reserved names."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from captioner import system

_path = os.path
"""The path rules in use; tests replace them by Windows'."""

_VERBATIM = "\\\\?\\"
"""Prefix of a path that Windows uses verbatim, of any length and with any name."""
_REMOTE = re.compile(r"([a-z][a-z0-9+.]+):/+(.+)", re.DOTALL)
"""A scheme has two letters or more: one letter is a drive of Windows."""
_MAX_LENGTH = 247
"""Characters of a path that every Windows opens without that prefix."""
_FORBIDDEN = frozenset('<>:"|?*')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)


def remote_uri(path: Path | str) -> str | None:
    """The URI of a file in a bucket or on another machine ("s3://bucket/a.jpg"); None if local.

    A `Path` loses one of the slashes of a URI; it is back in the result.
    """
    text = os.fspath(path)
    match = _REMOTE.match(text) if ":/" in text else None
    if match is None or os.path.lexists(match[1] + ":"):
        return None
    return f"{match[1]}://{match[2]}"


def absolute(path: Path | str) -> str:
    """The absolute path of a file in its canonical spelling, by which the index knows it.

    That of a remote file is its URI.

    Links are not followed. If the file system takes several spellings for the same name (upper and
    lower case; composed and decomposed accents), the canonical one is that in the folder listing.
    """
    if uri := remote_uri(path):
        return uri
    if not (system.WINDOWS or system.MAC):
        return _path.abspath(path)
    text = _absolute(os.fspath(path))
    if text.startswith(_VERBATIM):
        text = text.removeprefix(_VERBATIM)
        text = "\\\\" + text[4:] if text[:4].upper() == "UNC\\" else text
    return _listed(text)


def key(path: Path | str) -> bytes:
    """The canonical absolute path in bytes; lossless for any name on POSIX."""
    return os.fsencode(absolute(path))


def sqlite_uri(path: Path | str, parameters: str) -> str:
    """The URI of a database file with query parameters, for `sqlite3.connect(…, uri=True)`.

    SQLite uses the path's bytes unchanged, so that a folder of any name works.
    """
    name = key(path)
    if system.WINDOWS:  # file:///C:/folder/x.db, file:////server/share/x.db
        name = name.replace(b"\\", b"/")
        name = name if name.startswith(b"/") else b"/" + name
    return f"file://{quote(name, safe='/:')}?{parameters}"


def verbatim(path: Path) -> Path:
    """A path in the form in which Windows opens it even if it is long or has a reserved name.

    Other paths, and all paths on other systems, are returned unchanged.
    """
    if not system.WINDOWS:
        return path
    text = os.fspath(path)
    if text.startswith(_VERBATIM):
        return path
    full, name = _absolute(text), _path.basename(text)
    if len(full) <= _MAX_LENGTH and not (_is_reserved(name) or _is_trimmed(name)):
        return path
    if full.startswith("\\\\"):
        return type(path)(f"{_VERBATIM}UNC{full[1:]}")
    return type(path)(_VERBATIM + full)


def forbidden(path: Path) -> str | None:
    """Why Windows cannot create a file of this name exactly; completes "NAME …". None if it can."""
    if not system.WINDOWS:
        return None
    name = _path.basename(os.fspath(path))
    if bad := sorted(_FORBIDDEN & set(name)):
        return f"has {' and '.join(bad)} in its name, which Windows does not allow."
    if _is_trimmed(name):
        return "ends with a space or a full stop, which Windows would drop."
    if _is_reserved(name):
        return "is the name of a Windows device."
    return None


def decoded(line: bytes) -> str:
    """Decode one line of a list of paths, as other programs print it.

    Programs on Windows end lines with CR LF, and write UTF-8 or the console's code page.
    """
    if not system.WINDOWS:
        return os.fsdecode(line)
    line = line.removesuffix(b"\r")
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("oem", "replace")


def quoted(path: str) -> str:
    """A path quoted for the system's shell."""
    if system.WINDOWS:
        from subprocess import list2cmdline

        return list2cmdline([path])
    from shlex import quote as quote_for_shell

    return quote_for_shell(path)


def is_marked_hidden(status: os.stat_result) -> bool:
    """Whether a file or folder has the hidden attribute of Windows or macOS."""
    return bool(
        getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN
        or getattr(status, "st_flags", 0) & stat.UF_HIDDEN
    )


def _absolute(path: str) -> str:
    """An absolute path; its last component is kept, which Windows trims or takes for a device."""
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
    if not name:  # `/`, a drive, or a share, which ntpath returns without a separator
        root = folder[:1].upper() + folder[1:] if folder[1:2] == ":" else folder
        return _path.join(root, _path.sep)
    folder = _listed_folder(folder)
    return _path.join(folder, _name(folder, name))


@lru_cache(4096)
def _listed_folder(path: str) -> str:
    return _listed(path)


def _name(folder: str, name: str) -> str:
    """A name as its folder lists it; unchanged if there is no such file."""
    if name in _names(folder) or not _path.lexists(_path.join(folder, name)):
        return name
    _names.cache_clear()  # The file is newer than the cached list, or listed in another spelling.
    names = _names(folder)
    if name in names:
        return name
    same = [one for one in names if _fold(one) == _fold(name)]
    if len(same) != 1:  # For example a short name, PHOTOS~1.
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
