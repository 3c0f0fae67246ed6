"""Files on Windows: alternate data streams, attributes, owners, permissions and creation times.

All calls go through pywin32, which is required on Windows only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

# Attributes that a replacement must have too. Others, like the archive bit, change on every write.
_PRESERVED = (
    stat.FILE_ATTRIBUTE_READONLY
    | stat.FILE_ATTRIBUTE_HIDDEN
    | stat.FILE_ATTRIBUTE_SYSTEM
    | stat.FILE_ATTRIBUTE_ENCRYPTED
    | stat.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED
)
# OWNER_SECURITY_INFORMATION and DACL_SECURITY_INFORMATION.
_OWNER, _ACL = 1, 4
_SDDL = 1
# Error codes of file systems without streams or permissions, such as FAT.
_NOT_SUPPORTED = {1, 38, 50, 87, 120}
_TICKS_1970 = 116_444_736_000_000_000
"""Windows counts time in ticks of 100 ns since 1601; this is 1970."""


def copy(source: Path, target: Path) -> None:
    """Copy a file with its streams and attributes.

    Raises
    ------
    OSError
        If the target exists, or copying fails.
    """
    import pywintypes
    import win32file

    try:
        win32file.CopyFileW(str(source), str(target), True)
    except pywintypes.error as error:
        raise _os_error(error) from error


def copy_attributes(source: Path, target: Path) -> bool:
    """Copy owner, permissions and creation time to a copy; False if it still differs."""
    import pywintypes

    if attributes(source.stat()) & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        return False  # Its target, for example cloud storage, is bound to this very file.
    try:
        if (permissions := _permissions(source)) != _permissions(target):
            _set_permissions(source, target)
        _set_creation_time(source, target)
        return (
            attributes(source.stat()) & _PRESERVED == attributes(target.stat()) & _PRESERVED
            and streams(source) == streams(target)
            and permissions == _permissions(target)
        )
    except pywintypes.error:
        return False


def streams(path: Path) -> dict[str, int]:
    """The alternate data streams of a file and their sizes in bytes."""
    import pywintypes
    import win32file

    try:
        found = win32file.FindStreams(str(path))
    except pywintypes.error as error:
        if error.winerror in _NOT_SUPPORTED:
            return {}
        raise
    return {name: int(size) for size, name in found if name != "::$DATA"}


def limit_memory(size: int) -> None:
    """Limit the memory of this process to `size` bytes, if the system allows it."""
    import pywintypes
    import win32api
    import win32job

    try:
        create: Any = win32job.CreateJobObject
        job = create(None, "")
        kind = win32job.JobObjectExtendedLimitInformation
        limits = win32job.QueryInformationJobObject(job, kind)
        limits["ProcessMemoryLimit"] = size
        limits["BasicLimitInformation"]["LimitFlags"] |= win32job.JOB_OBJECT_LIMIT_PROCESS_MEMORY
        win32job.SetInformationJobObject(job, kind, limits)
        win32job.AssignProcessToJobObject(job, win32api.GetCurrentProcess())
    except pywintypes.error:
        return


def attributes(status: os.stat_result) -> int:
    """The attribute flags of a file."""
    return int(getattr(status, "st_file_attributes", 0))


def _permissions(path: Path) -> str:
    """Owner and access control list of a file in SDDL; empty if the disk has none."""
    import pywintypes
    import win32security

    try:
        found = win32security.GetFileSecurity(str(path), _OWNER | _ACL)
        text = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor(
            found, _SDDL, _OWNER | _ACL
        )
    except pywintypes.error as error:
        if error.winerror in _NOT_SUPPORTED:
            return ""
        raise
    # The flags that say how entries were inherited do not change the permissions.
    return re.sub(r"D:(P?)(?:AI|AR)*", r"D:\1", text)


def _set_permissions(source: Path, target: Path) -> None:
    import win32security

    found = win32security.GetFileSecurity(str(source), _OWNER | _ACL)
    win32security.SetFileSecurity(str(target), _ACL, found)
    win32security.SetFileSecurity(str(target), _OWNER, found)


def _set_creation_time(source: Path, target: Path) -> None:
    found = source.stat()
    created: int = getattr(found, "st_birthtime_ns", found.st_ctime_ns)
    ticks = ctypes.c_uint64(created // 100 + _TICKS_1970)
    import msvcrt

    # Type checkers know these on Windows only.
    kernel32: Any = getattr(ctypes, "windll").kernel32  # noqa: B009
    get_handle: Any = getattr(msvcrt, "get_osfhandle")  # noqa: B009
    with target.open("r+b") as file:
        handle = ctypes.c_void_p(get_handle(file.fileno()))
        kernel32.SetFileTime(handle, ctypes.byref(ticks), None, None)


def _os_error(error: Any) -> OSError:
    known = {5: errno.EACCES, 32: errno.EACCES, 33: errno.EACCES, 80: errno.EEXIST}
    return OSError(known.get(error.winerror, errno.EIO), error.strerror)
