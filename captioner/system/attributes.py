"""What a file carries besides its content: rights, times, extended attributes, streams."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from captioner import system

_NONE = {errno.ENOTSUP, errno.EINVAL, errno.EOPNOTSUPP}
"""Reported by a file system without extended attributes."""
_MACS_OWN = {"com.apple.provenance", "com.apple.macl"}
"""Set by macOS about which program made a file and which may open it; nobody else can."""


def copy(source: Path, target: Path) -> bool:
    """Give a file all that another one carries; False if something of it would be lost.

    Owners are not part of it, see `files.give_owner`; on Windows they are.
    """
    shutil.copystat(source, target)
    if system.WINDOWS:
        from captioner.system import windows

        return windows.complete(source, target)
    if not hasattr(os, "listxattr"):  # Python has them on Linux alone.
        if not _copy_by_library(source, target):
            return False
        if system.MAC and not _copy_acl(source, target):
            return False
        _copy_creation(source, target)
    return extended(source) == extended(target)


def extended(path: Path) -> dict[str, bytes]:
    """The extended attributes of a file, by name.

    Raises
    ------
    OSError
        If they cannot be read.
    """
    try:
        if hasattr(os, "listxattr"):
            return {name: os.getxattr(path, name) for name in os.listxattr(path)}
        xattr = _library()
        file = os.fspath(path)
        names = {str(name) for name in xattr.listxattr(file)} - _MACS_OWN
        return {name: bytes(xattr.getxattr(file, name)) for name in names}
    except OSError as error:
        if error.errno in _NONE:
            return {}
        raise


def _library() -> Any:
    import xattr  # Required on macOS, see pyproject.toml.

    return xattr


def _copy_by_library(source: Path, target: Path) -> bool:
    try:
        xattr = _library()
    except ImportError:
        return False
    for name, value in extended(source).items():
        try:
            xattr.setxattr(os.fspath(target), name, value)
        except OSError:
            return False
    return True


def _copy_acl(source: Path, target: Path) -> bool:
    """Copy an access control list by copyfile(3) of macOS; False if that fails."""
    import ctypes

    acl_only = 1
    try:
        copyfile = ctypes.CDLL(None).copyfile
    except AttributeError:
        return False
    return bool(copyfile(os.fsencode(source), os.fsencode(target), None, acl_only) == 0)


def _copy_creation(source: Path, target: Path) -> None:
    """Copy the date of creation: macOS moves it back with an earlier date of modification."""
    found = source.stat()
    created = getattr(found, "st_birthtime", None)
    if created is not None:
        os.utime(target, (created, created))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
