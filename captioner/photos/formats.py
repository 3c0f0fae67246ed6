"""The picture formats captioner reads: by name while walking, by content when opening."""

from __future__ import annotations

import struct
from contextlib import suppress
from importlib.util import find_spec
from typing import BinaryIO

from captioner.errors import PhotoError, PhotoUnavailableError

RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 "
    "srf srw x3f"
)
"""What cameras call the files that hold their sensors' readings."""

EXTENSIONS = frozenset(
    ("jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff avif heic heif hif " + RAW).split()
)

_HEAD = 64
_MOST_TAGS = 512

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# What a file begins with, and what that makes it: a format that we read, by Pillow's name …
_OURS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"IIRO", "RAW"),
    (b"IIRS", "RAW"),
    (b"MMOR", "RAW"),
    (b"IIU\0", "RAW"),
    (b"II\x1a\0\0\0HEAPCCDR", "RAW"),
    (b"\0MRM", "RAW"),
    (b"FOVb", "RAW"),
)
# … or something else, in words that complete "it is …".
_FOREIGN = (
    (b"%PDF-", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"PK\x03\x04", "a ZIP archive"),
)


def may_be_photo(name: str) -> bool:
    """Whether a file of this name is worth opening when a folder is searched."""
    # Not by way of a Path: the walk asks this of every file there is.
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in EXTENSIONS


def recognise(file: BinaryIO) -> str:
    """Name the format of a file from how it begins, whatever the file is called.

    Returns
    -------
    Pillow's name of the one plugin that shall open it: no other gets a chance to. "RAW" for what
    a camera's sensor has read.

    Raises
    ------
    PhotoError
        Where the content is nothing that captioner reads; says what it is instead.
    """
    head = file.read(_HEAD)
    kind = _kind(head)
    if kind == "TIFF" and _is_raw(head, file):
        kind = "RAW"
    if kind == "RAW" and not find_spec("rawpy"):
        raise _missing("raw photo", "raw")
    if kind == "HEIF" and not heic_opens():
        raise _missing("HEIC picture", "heic")
    return kind


def heic_opens() -> bool:
    """Whether HEIC can be read. Pillow leaves it to a plugin, ours to the extra `[heic]`."""
    return bool(find_spec("pi_heif"))


def _missing(what: str, extra: str) -> PhotoError:
    return PhotoUnavailableError(
        f"it is a {what}, and the part that reads those is not installed.",
        f"Install it with: pip install 'captioner[{extra}]'.",
    )


def _kind(head: bytes) -> str:
    for start, name in _OURS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _kind_of_boxes(head)
    if not head:
        raise PhotoError("it is empty.", "Copy it again, or restore it from a backup.")
    if not head.strip(b"\0"):
        raise PhotoError(
            "it begins with nothing but zeros: its content is lost.", "Restore it from a backup."
        )
    for start, what in _FOREIGN:
        if head.startswith(start):
            raise PhotoError(f"it is {what}.", "Save it as JPEG or PNG.")
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        raise PhotoError("it holds text, not a picture.", "Fetch the photo again.")
    raise PhotoError(
        "its content is in no format that captioner reads "
        "(JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, raw photos)."
    )


def _kind_of_boxes(head: bytes) -> str:
    """HEIC, AVIF, Canon's raw photos and video share one container; brands at its start differ."""
    length = int.from_bytes(head[:4], "big")
    brands = {head[at : at + 4] for at in range(8, min(length, len(head)), 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIF"
    if b"crx " in brands:
        return "RAW"
    raise PhotoError("it is a video.")


def _is_raw(head: bytes, file: BinaryIO) -> bool:
    """Whether a TIFF is a raw photo: most makers dress theirs as one, with a thumbnail in front.

    Opened as TIFF, it would give the thumbnail.
    """
    if head[8:10] == b"CR" or head[8:12] == b"IIII":  # Canon, Phase One
        return True
    order = "<" if head[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    with suppress(struct.error, OSError):
        file.seek(*struct.unpack_from(f"{order}I", head, 4))
        (number,) = struct.unpack(f"{order}H", file.read(2))
        for _ in range(min(number, _MOST_TAGS)):
            tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
            short = f"{order}H" if kind == 3 else f"{order}I"
            (tags[tag],) = struct.unpack_from(short, value)
    thumbnail_first = tags.get(254, 0) & 1 and 330 in tags  # and other pictures below it
    sensor_first = tags.get(262) in (32803, 34892)
    return bool(50706 in tags or thumbnail_first or sensor_first)  # the first: DNG
