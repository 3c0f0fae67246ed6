"""What is mounted where: a drive that is away is not one that was emptied."""

from __future__ import annotations

import os
import re
from pathlib import Path

TABLE = Path("/proc/self/mounts")
"""Linux' own list. Elsewhere mounts are told by looking at folders, their kinds not at all."""

_NETWORK = re.compile(
    "nfs|cifs|smb|afs|9p|ncp|ceph|gluster|lustre|davfs|fuse.(sshfs|rclone|davfs|smb|gvfs|s3fs)"
)


def points() -> dict[bytes, str] | None:
    """Every place where a file system is mounted, and its kind; None where no list is kept."""
    try:
        lines = TABLE.read_bytes().splitlines()
    except OSError:
        return None
    fields = [line.split(b" ") for line in lines]
    return {_plain(field[1]): os.fsdecode(field[2]) for field in fields if len(field) > 2}


def _plain(point: bytes) -> bytes:
    # Spaces and the like stand there as three octal digits.
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), point)


def above(path: bytes) -> bytes:
    """The place where the file system that holds an absolute path is mounted."""
    known = points()
    while path != os.path.dirname(path):  # noqa: PTH120 (bytes)
        if path in known if known is not None else os.path.ismount(path):
            break
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def about(folder: bytes) -> set[bytes]:
    """The mount that holds a folder, and those below it."""
    inside = os.path.join(folder, b"")  # noqa: PTH118 (bytes)
    return {above(folder)} | {point for point in points() or () if point.startswith(inside)}


def is_mounted(point: bytes) -> bool:
    """Whether anything is mounted there now."""
    known = points()
    return point in known if known is not None else os.path.ismount(point)


def network(path: bytes) -> str | None:
    """The kind of the network drive that holds an absolute path; None where it is none."""
    kind = (points() or {}).get(above(os.path.realpath(path)), "")
    return kind if _NETWORK.match(kind) else None
