"""Reading photos: from a file to decoded pixels, in this process or in the sandbox.

Most photos are JPEG, PNG or WebP files of a few megapixels, and are decoded in the calling thread,
which is fastest. But a thread cannot be killed, and it shares the process's memory. So images whose
header announces more than seconds or megabytes, and formats whose decoders have a longer history of
vulnerabilities, are decoded in a process that can be killed (`sandbox`).
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import BinaryIO

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.hashing import new_hash
from captioner.photos import formats, sandbox
from captioner.photos.decode import DecodedImage, decode
from captioner.photos.diagnosis import MAX_PIXELS, is_truncated
from captioner.photos.path_errors import explain
from captioner.regular_files import open_regular
from captioner.types import DecodedPhoto, Photo

_DIRECT = ("JPEG", "PNG", "WEBP")
"""Formats that are decoded in this process, if the image is not too large."""
_MAX_DIRECT_BYTES = 64 << 20
"""A larger file is never held in this process as a whole."""
_MAX_EXIF_BYTES = 1 << 16
"""Pillow reads EXIF blocks as a whole, and one may refer to its own bytes again and again."""
_CHUNK = 1 << 20
"""Bytes read at once."""

_RECENT = 2.0
"""Seconds since the last change within which a file may still be being copied."""
_GROWTH_WAIT = 0.3
"""Seconds within which a file that is being copied grows."""
_ENDS_EARLY = "too early"
"""In the reason of `diagnosis` for truncated files."""
# FILE_ATTRIBUTE_OFFLINE, …_RECALL_ON_OPEN, …_RECALL_ON_DATA_ACCESS; SF_DATALESS.
_WINDOWS_ONLINE = 0x1000 | 0x40000 | 0x400000
_MACOS_DATALESS = 0x40000000

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_PROGRESSIVE_COMPONENTS = -1
"""In place of the number of components: a progressive JPEG always has several scans."""


class _NeedsSandbox(BaseException):
    """The image is too large to decode in this process; not caught by `except Exception`."""


def read(photo: Photo, size: int) -> DecodedPhoto:
    """Read a photo's file, hash it, and decode it to the model input of `size` × `size` pixels.

    The format is detected from the content, not from the name. See `decode` for what is decoded.

    Raises
    ------
    PhotoError
        With a reason that completes "cannot read PATH: …", and a remedy if there is one.
    """
    try:
        if is_online_only(photo.path.stat()):
            raise PhotoUnavailableError(
                "its content is in the cloud (OneDrive, iCloud or similar), not on this disk.",
                "Download it first: choose to always keep it on this device.",
            )
        with open_regular(photo.path) as file:
            return read_open(photo, file, size)
    except PhotoUnavailableError:
        raise
    except PhotoError as error:
        raise _unless_growing(photo, error) from error
    except OSError as error:
        raise PhotoUnavailableError(explain(error)) from error


def read_open(photo: Photo, file: BinaryIO, size: int) -> DecodedPhoto:
    """Read a photo as `read` does, from a file that is open and seekable, such as an upload.

    Raises
    ------
    PhotoError
        As from `read`.
    OSError
        If the file cannot be read.
    """
    kind = formats.detect_format(file)
    file.seek(0)
    content_hash = new_hash()
    image = _decode(file, kind, size, content_hash)
    return DecodedPhoto(
        photo=photo,
        rgb=image.rgb,
        width=image.width,
        height=image.height,
        format=kind,
        content_hash=content_hash.digest(),
        facts=image.facts,
    )


def read_stream(file: BinaryIO, name: str, size: int) -> DecodedPhoto:
    """Decode a photo that is no file of the user's, such as an upload, as `read` does.

    Whatever its format, it is decoded in the sandbox: it may come from anyone.

    Parameters
    ----------
    file
        At its beginning, and seekable.
    name
        Stands for its path.
    size
        Side of the model input, pixels.

    Raises
    ------
    PhotoError
        With a reason that completes "cannot read NAME: …", and a remedy if there is one.
    """
    try:
        kind = formats.detect_format(file)
        file.seek(0)
        content_hash = new_hash()
        image = sandbox.decode_in_sandbox(_chunks(file, content_hash), kind, size)
        length = file.tell()
    except OSError as error:
        raise PhotoUnavailableError(explain(error)) from error
    return DecodedPhoto(
        photo=Photo(name, length, 0),
        rgb=image.rgb,
        width=image.width,
        height=image.height,
        format=kind,
        content_hash=content_hash.digest(),
        facts=image.facts,
    )


def is_online_only(status: os.stat_result) -> bool:
    """Whether a file is a placeholder, so that reading it would download it from a cloud."""
    windows = getattr(status, "st_file_attributes", 0)
    return bool(windows & _WINDOWS_ONLINE or getattr(status, "st_flags", 0) & _MACOS_DATALESS)


def _unless_growing(photo: Photo, error: PhotoError) -> PhotoError:
    """The error to report: another one if the file is not damaged but still being written."""
    try:
        status = photo.path.stat()
        truncated = (
            isinstance(error.__cause__, Exception) and is_truncated(error.__cause__)
        ) or _ENDS_EARLY in error.reason
        recent = truncated and 0 <= time.time() - status.st_mtime_ns / 1e9 < _RECENT
        waited = 0.0
        while _is_unchanged(photo, status) and recent and waited < _GROWTH_WAIT:
            time.sleep(_GROWTH_WAIT / 10)
            waited += _GROWTH_WAIT / 10
            status = photo.path.stat()
    except OSError:
        return error
    if not _is_unchanged(photo, status):
        return PhotoUnavailableError(
            "another program is still writing it.", "It will be tried again next time."
        )
    if not recent:
        return error
    return PhotoError(
        error.reason,
        "If it is still being copied, it will be tried again when it is complete; otherwise "
        f"{error.remedy[:1].lower()}{error.remedy[1:]}",
    )


def _is_unchanged(photo: Photo, status: os.stat_result) -> bool:
    return (status.st_size, status.st_mtime_ns) == (photo.size, photo.mtime_ns)


def _decode(file: BinaryIO, kind: str, size: int, content_hash: hashlib.blake2b) -> DecodedImage:
    if kind not in _DIRECT:
        return sandbox.decode_in_sandbox(_chunks(file, content_hash), kind, size)
    content = file.read(_MAX_DIRECT_BYTES)
    content_hash.update(content)
    scans = _max_scans(content) if kind == "JPEG" else 1

    def check_size(decoded_pixels: int, stored_pixels: int) -> None:
        if decoded_pixels > sandbox.LARGE_PIXELS or stored_pixels * scans > MAX_PIXELS:
            raise _NeedsSandbox

    if scans and len(content) < _MAX_DIRECT_BYTES:
        with suppress(_NeedsSandbox):
            return decode(io.BytesIO(content), kind, size, check_size)
    return sandbox.decode_in_sandbox(chain([content], _chunks(file, content_hash)), kind, size)


def _max_scans(jpeg: bytes) -> int:
    """An upper bound on the scans of a JPEG, each over all pixels; 0 if its header is suspicious.

    A progressive JPEG refines its pixels scan by scan, and a scan may be no longer than its header.
    """
    at, exif_bytes, components = 2, 0, 0
    with suppress(IndexError):
        while jpeg[at] == 0xFF:
            marker = jpeg[at + 1]
            if marker == 0xFF:  # padding
                at += 1
                continue
            length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
            if marker == 0xE1 and jpeg[at + 4 : at + 8] == b"Exif":
                exif_bytes += length
            elif marker in _FRAMES:
                progressive = marker in _PROGRESSIVE
                components = _PROGRESSIVE_COMPONENTS if progressive else jpeg[at + 9]
            elif marker == 0xDA:
                if exif_bytes > _MAX_EXIF_BYTES:
                    return 0
                return 1 if jpeg[at + 4] == components else jpeg.count(b"\xff\xda")
            at += length
    return 0


def _chunks(file: BinaryIO, content_hash: hashlib.blake2b) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        content_hash.update(chunk)
        yield chunk
