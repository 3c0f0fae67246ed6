"""Windows' files: alternate data streams, attributes, owners, rights and dates of creation.

Everything goes through pywin32, which is required on Windows alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

# What a replacement must have as well. Others, such as the archive bit, change with any write.
_KEPT = (
    stat.FILE_ATTRIBUTE_READONLY
    | stat.FILE_ATTRIBUTE_HIDDEN
    | stat.FILE_ATTRIBUTE_SYSTEM
    | stat.FILE_ATTRIBUTE_ENCRYPTED
    | stat.FILE_ATTRIBUTE_NOT_CONTENT_INDEXED
)
# Owner and access control list, as Windows numbers parts of a security descriptor.
_OWNER, _ACL = 1, 4
_SDDL = 1
# Given back by file systems that have no streams or no rights, as FAT.
_NOT_SUPPORTED = {1, 38, 50, 87, 120}
_TICKS_1970 = 116_444_736_000_000_000
"""Of 100 ns, by which Windows counts time from 1601, until Unix began to count."""


def copy(source: Path, target: Path) -> None:
    """Copy a file with its streams and attributes to a name that no file has.

    Raises
    ------
    OSError
        If that fails.
    """
    import pywintypes
    import win32file

    try:
        win32file.CopyFileW(str(source), str(target), True)
    except pywintypes.error as error:
        raise _os_error(error) from error


def complete(source: Path, target: Path) -> bool:
    """Give a copy the owner, the rights and the date of creation; False if anything is missing."""
    import pywintypes

    if attributes(source.stat()) & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        return False  # What stands behind it, a cloud for instance, knows this very file.
    try:
        if (rights := _rights(source)) != _rights(target):
            _set_rights(source, target)
        _set_creation(source, target)
        return (
            attributes(source.stat()) & _KEPT == attributes(target.stat()) & _KEPT
            and streams(source) == streams(target)
            and rights == _rights(target)
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


def bound_memory(size: int) -> None:
    """Bound the memory of this process, in bytes, if the system lets us."""
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


def attributes(found: os.stat_result) -> int:
    """The attributes of a file, as bits."""
    return int(getattr(found, "st_file_attributes", 0))


def _rights(path: Path) -> str:
    """The owner and the access control list of a file as text; empty if the disk has none."""
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
    # Whether entries were inherited of late does not change what they say.
    return re.sub(r"D:(P?)(?:AI|AR)*", r"D:\1", text)


def _set_rights(source: Path, target: Path) -> None:
    import win32security

    found = win32security.GetFileSecurity(str(source), _OWNER | _ACL)
    win32security.SetFileSecurity(str(target), _ACL, found)
    win32security.SetFileSecurity(str(target), _OWNER, found)


def _set_creation(source: Path, target: Path) -> None:
    found = source.stat()
    created: int = getattr(found, "st_birthtime_ns", found.st_ctime_ns)
    ticks = ctypes.c_uint64(created // 100 + _TICKS_1970)
    import msvcrt

    # Known to type checkers on Windows alone.
    kernel32: Any = getattr(ctypes, "windll").kernel32  # noqa: B009
    get_handle: Any = getattr(msvcrt, "get_osfhandle")  # noqa: B009
    with target.open("r+b") as file:
        handle = ctypes.c_void_p(get_handle(file.fileno()))
        kernel32.SetFileTime(handle, ctypes.byref(ticks), None, None)


def _os_error(error: Any) -> OSError:
    known = {5: errno.EACCES, 32: errno.EACCES, 33: errno.EACCES, 80: errno.EEXIST}
    return OSError(known.get(error.winerror, errno.EIO), error.strerror)
