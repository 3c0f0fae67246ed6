"""From a photo's file to its pixels, by the way that fits: here, or in a process of its own.

Most photos are JPEG, PNG or WebP files of a few megapixels, and are decoded in the thread that
asks: nothing is faster. But a thread cannot be stopped, and its memory is everybody's. So whatever
could take minutes or gigabytes by the word of its header, and all that goes through decoders with
more history of faults, is handed to a process that can be killed (`sandbox`).
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from itertools import chain

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.hashing import new_hash
from captioner.photos import formats, sandbox
from captioner.photos.decode import Picture, decode
from captioner.photos.diagnosis import LARGEST, is_cut
from captioner.photos.path_errors import explain, open_regular
from captioner.types import DecodedPhoto, Photo

_QUICK = ("JPEG", "PNG", "WEBP")
_IN_MEMORY = 64 << 20
"""Bytes. A larger file is never held here as a whole."""
_GIANT = 32 << 20
"""Pixels. Unpacked, more than these take up to a gigabyte on their way."""
_EXIF = 1 << 16
"""Bytes. Pillow reads a whole EXIF block, and one may refer to its own bytes time and again."""
_PIECE = 1 << 20

_JUST_NOW = 2.0
"""Seconds since a file was changed, within which it may be being copied."""
_PATIENCE = 0.3
"""Seconds in which a file that is being copied grows."""
_CUT_SHORT = "too early"
# FILE_ATTRIBUTE_OFFLINE, …_RECALL_ON_OPEN, …_RECALL_ON_DATA_ACCESS; SF_DATALESS.
_WINDOWS_ONLINE = 0x1000 | 0x40000 | 0x400000
_MACOS_DATALESS = 0x40000000

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MANY = -1
"""Colours that no scan holds all of."""


class _Heavy(BaseException):
    """The header announces more than is to be unpacked here; not for `except Exception`."""


def read(photo: Photo, size: int) -> DecodedPhoto:
    """Read a photo's file and decode it to a square of `size` pixels a side.

    The content decides what it is, not the name. See `decode` for what is seen of it.

    Raises
    ------
    PhotoError
        With a reason that completes "cannot read PATH: …", and a remedy where there is one.
    """
    try:
        if is_online_only(photo.path.stat()):
            raise PhotoUnavailableError(
                "its content is not on this disk but in a cloud (OneDrive, iCloud or the like).",
                "Download it first: choose to keep it always on this device.",
            )
        with open_regular(photo.path) as file:
            kind = formats.recognise(file)
            file.seek(0)
            hashed = new_hash()
            picture = _picture(file, kind, size, hashed)
    except PhotoUnavailableError:
        raise
    except PhotoError as error:
        raise _growing(photo, error) from error
    except OSError as error:
        raise PhotoUnavailableError(explain(error)) from error
    return DecodedPhoto(
        photo=photo,
        rgb=picture.rgb,
        width=picture.width,
        height=picture.height,
        format=kind,
        content_hash=hashed.digest(),
        facts=picture.facts,
    )


def is_online_only(found: os.stat_result) -> bool:
    """Whether a file is a placeholder: to read it would be to download it."""
    windows = getattr(found, "st_file_attributes", 0)
    return bool(windows & _WINDOWS_ONLINE or getattr(found, "st_flags", 0) & _MACOS_DATALESS)


def _growing(photo: Photo, error: PhotoError) -> PhotoError:
    """The error, or another one where the file is still being written, and is not damaged."""
    try:
        found = photo.path.stat()
        ended = (isinstance(error.__cause__, Exception) and is_cut(error.__cause__)) or (
            _CUT_SHORT in error.reason
        )
        fresh = ended and 0 <= time.time() - found.st_mtime_ns / 1e9 < _JUST_NOW
        waited = 0.0
        while _same(photo, found) and fresh and waited < _PATIENCE:
            time.sleep(_PATIENCE / 10)
            waited += _PATIENCE / 10
            found = photo.path.stat()
    except OSError:
        return error
    if not _same(photo, found):
        return PhotoUnavailableError(
            "another program is still writing it.", "It will be tried again next time."
        )
    if not fresh:
        return error
    return PhotoError(
        error.reason,
        "If it is still being copied, it will be tried again when it is complete; otherwise "
        f"{error.remedy[:1].lower()}{error.remedy[1:]}",
    )


def _same(photo: Photo, found: os.stat_result) -> bool:
    return (found.st_size, found.st_mtime_ns) == (photo.size, photo.mtime_ns)


def _picture(file: BufferedReader, kind: str, size: int, hashed: hashlib.blake2b) -> Picture:
    if kind not in _QUICK:
        return sandbox.decode_in_sandbox(_pieces(file, hashed), kind, size)
    content = file.read(_IN_MEMORY)
    hashed.update(content)
    passes = _passes(content) if kind == "JPEG" else 1

    def weigh(unpacked: int, stored: int) -> None:
        if unpacked > _GIANT or stored * passes > LARGEST:
            raise _Heavy

    if passes and len(content) < _IN_MEMORY:
        with suppress(_Heavy):
            return decode(io.BytesIO(content), kind, size, weigh)
    return sandbox.decode_in_sandbox(chain([content], _pieces(file, hashed)), kind, size)


def _passes(jpeg: bytes) -> int:
    """How often a JPEG goes over its pixels, at most; 0 where its header is not to be trusted.

    A progressive one refines them scan by scan, and a scan may be as short as its own header.
    """
    at, exif, parts = 2, 0, 0
    with suppress(IndexError):
        while jpeg[at] == 0xFF:
            marker = jpeg[at + 1]
            if marker == 0xFF:  # padding
                at += 1
                continue
            length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
            if marker == 0xE1 and jpeg[at + 4 : at + 8] == b"Exif":
                exif += length
            elif marker in _FRAMES:
                parts = _MANY if marker in _PROGRESSIVE else jpeg[at + 9]
            elif marker == 0xDA:
                if exif > _EXIF:
                    return 0
                return 1 if jpeg[at + 4] == parts else jpeg.count(b"\xff\xda")
            at += length
    return 0


def _pieces(file: BufferedReader, hashed: hashlib.blake2b) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        hashed.update(piece)
        yield piece
