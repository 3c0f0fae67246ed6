"""File attributes: permissions, times, extended attributes, access control lists, streams."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from captioner import system

_NOT_SUPPORTED = {errno.ENOTSUP, errno.EINVAL, errno.EOPNOTSUPP}
"""Reported by file systems without extended attributes."""
_SET_BY_MACOS = {"com.apple.provenance", "com.apple.macl"}
"""Which program made a file and which may open it; only macOS can set them."""


def copy(source: Path, target: Path) -> bool:
    """Copy all attributes of a file to another one; False if any would be lost.

    Includes the owner on Windows only; elsewhere see `files.set_owner`.
    """
    shutil.copystat(source, target)
    if system.WINDOWS:
        from captioner.system import windows

        return windows.copy_attributes(source, target)
    if not hasattr(os, "listxattr"):  # Python has it on Linux only.
        if not _copy_extended(source, target):
            return False
        if system.MAC and not _copy_acl(source, target):
            return False
        _copy_creation_time(source, target)
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
        xattr = _xattr()
        file = os.fspath(path)
        names = {str(name) for name in xattr.listxattr(file)} - _SET_BY_MACOS
        return {name: bytes(xattr.getxattr(file, name)) for name in names}
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return {}
        raise


def _xattr() -> Any:
    import xattr  # Required on macOS, see pyproject.toml.

    return xattr


def _copy_extended(source: Path, target: Path) -> bool:
    try:
        xattr = _xattr()
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


def _copy_creation_time(source: Path, target: Path) -> None:
    """Copy the creation time. macOS moves it back to an earlier modification time."""
    status = source.stat()
    created = getattr(status, "st_birthtime", None)
    if created is not None:
        os.utime(target, (created, created))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
