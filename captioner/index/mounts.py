"""Mount points and network drives: a drive that is not mounted is not one that was emptied."""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from pathlib import Path

from captioner import system

TABLE = Path("/proc/self/mounts")
"""The mount table of Linux."""

_NETWORK = re.compile(
    "nfs|cifs|smb|afs|9p|ncp|ceph|gluster|lustre|davfs|afpfs|webdav"
    "|fuse.(sshfs|rclone|davfs|smb|gvfs|s3fs)"
)


def mount_points() -> dict[bytes, str] | None:
    """All mount points with the type of their file systems; None if the system keeps no list."""
    try:
        lines = TABLE.read_bytes().splitlines()
    except OSError:
        # Asking a drive that does not answer takes a while: once a second is enough.
        return _partitions(int(time.monotonic())) if system.WINDOWS or system.MAC else None
    fields = [line.split(b" ") for line in lines]
    return {_plain(field[1]): os.fsdecode(field[2]) for field in fields if len(field) > 2}


@lru_cache(1)
def _partitions(second: int) -> dict[bytes, str] | None:
    try:
        import psutil
    except ImportError:
        return None
    return {
        os.fsencode(one.mountpoint): "smb" if "remote" in one.opts.split(",") else one.fstype
        for one in psutil.disk_partitions(all=True)
        if one.fstype or not system.WINDOWS  # A drive letter without a medium has none.
    }


def _plain(point: bytes) -> bytes:
    # Spaces and the like are written as three octal digits.
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), point)


def mount_point_of(path: bytes) -> bytes:
    """The mount point of the file system that holds an absolute path."""
    known = mount_points()
    while path != os.path.dirname(path):  # noqa: PTH120 (bytes)
        if path in known if known is not None else os.path.ismount(path):
            break
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def mount_points_of(folder: bytes) -> set[bytes]:
    """The mount point of the file system that holds a folder, and those below it."""
    prefix = os.path.join(folder, b"")  # noqa: PTH118 (bytes)
    return {mount_point_of(folder)} | {
        point for point in mount_points() or () if point.startswith(prefix)
    }


def is_mounted(point: bytes) -> bool:
    """Whether anything is mounted there now."""
    if _is_share(point):
        return os.path.isdir(point)  # noqa: PTH112 (bytes)
    known = mount_points()
    return point in known if known is not None else os.path.ismount(point)


def network_filesystem(path: bytes) -> str | None:
    """The type of the network file system that holds a path, such as "nfs4"; None for a disk."""
    real = os.path.realpath(path)
    if _is_share(real):
        return "smb"
    kind = (mount_points() or {}).get(mount_point_of(real), "")
    return kind if _NETWORK.match(kind) else None


def _is_share(path: bytes) -> bool:
    """Whether a path begins with a server, `\\\\nas\\photos`, which no list of drives names."""
    return system.WINDOWS and path.startswith(b"\\\\")
