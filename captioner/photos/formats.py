"""The picture formats captioner reads: by name while walking, by content when opening."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from captioner.errors import PhotoError, PhotoUnavailableError

EXTENSIONS = frozenset(
    "jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff avif heic heif hif".split()
)

HEAD = 64
"""Bytes that `recognise` wants to see."""

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
)
# … or something else, in words that complete "it is …".
_FOREIGN = (
    (b"%PDF-", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"FUJIFILMCCD-RAW", "a raw photo"),
    (b"PK\x03\x04", "a ZIP archive"),
)


def may_be_photo(name: str) -> bool:
    """Whether a file of this name is worth opening when a folder is searched."""
    # Not by way of a Path: the walk asks this of every file there is.
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in EXTENSIONS


def recognise(head: bytes) -> str:
    """Name the format of a file from its first `HEAD` bytes, whatever the file is called.

    Returns
    -------
    Pillow's name of the one plugin that shall open it: no other gets a chance to.

    Raises
    ------
    PhotoError
        Where the content is nothing that captioner reads; says what it is instead.
    """
    for start, name in _OURS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _recognise_boxes(head)
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
        "(JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC)."
    )


def _recognise_boxes(head: bytes) -> str:
    """HEIC, AVIF and video share one container, and differ in the brands it names first."""
    length = int.from_bytes(head[:4], "big")
    brands = {head[at : at + 4] for at in range(8, min(length, len(head)), 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        if not heic_opens():
            raise PhotoUnavailableError(
                "it is a HEIC picture, and the part that reads those is not installed.",
                "Install it with: pip install 'captioner[heic]'.",
            )
        return "HEIF"
    if b"crx " in brands:
        raise PhotoError("it is a raw photo.", "Save it as JPEG or PNG.")
    raise PhotoError("it is a video.")


@cache
def heic_opens() -> bool:
    """Whether HEIC can be read. Pillow leaves it to a plugin, ours to the extra `[heic]`."""
    try:
        plugin = import_module("pi_heif")
    except ImportError:
        return False
    plugin.register_heif_opener()
    return True
