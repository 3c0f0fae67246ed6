"""Image formats: by file name extension while walking, by content when reading."""

from __future__ import annotations

import struct
from codecs import getincrementaldecoder
from contextlib import suppress
from importlib.util import find_spec
from typing import BinaryIO

from captioner.errors import PhotoError, PhotoUnavailableError

RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf rw2 rwl sr2 "
    "srf srw x3f"
)
"""Extensions of raw photos."""

EXTENSIONS = frozenset(
    ("jpg jpeg jpe jfif mpo png apng webp gif bmp dib tif tiff avif heic heif hif " + RAW).split()
)

_HEADER_BYTES = 64
_MAX_TAGS = 512

_CONVERT = "Save it as JPEG or PNG."
_HEIF_OF_OTHER_CODECS = {b"jpeg", b"jpgs", b"j2ki", b"vvic", b"evbi", b"avci", b"avcs", b"miaf"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# Signatures at the beginning of a file, and the format: supported ones, by Pillow's name …
_SUPPORTED = (
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
# … and unsupported ones, as text that completes "it is …".
_UNSUPPORTED = (
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "an EPS or PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "an EPS document"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"\x8aMNG", "an MNG animation"),
    (b"\x8bJNG", "a JNG picture"),
    (b"\0\0\1\0", "an icon"),
    (b"icns", "an icon"),
    (b"DDS ", "a DDS texture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"#?RGBE", "a Radiance HDR picture"),
    (b"qoif", "a QOI picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"FLIF", "a FLIF picture"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (b"\x89LFP", "a light field photo by Lytro"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a file compressed with gzip"),
    (b"BZh", "a file compressed with bzip2"),
    (b"\xfd7zXZ\0", "a file compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with Zstandard"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\0\0\1\xba", "a video"),
    (b"\0\0\1\xb3", "a video"),
    (b"FLV\1", "a video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound or video file"),
    (b"fLaC", "a sound file"),
    (b"SQLite format 3", "a database"),
    (b"\xd0\xcf\x11\xe0", "an Office document or a thumbnail database"),
    (b"L\0\0\0\1\x14\2\0", "a Windows shortcut, not the photo itself"),
    (b"book\0\0\0\0mark", "a macOS alias, not the photo itself"),
    (b"\0\5\x16\7", "macOS metadata about a file, not the photo itself"),
    (b"bplist00", "a macOS property list, perhaps a placeholder for a photo in iCloud"),
    (b"version https://git-lfs", "a Git LFS pointer, not the photo itself"),
)
_ARCHIVES = ("archive", "compressed")
_PLACEHOLDERS = ("not the photo itself", "iCloud")


def may_be_photo(name: str) -> bool:
    """Whether a file in a searched folder has the extension of a photo."""
    # Without a `Path`: the walk calls this for every file.
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in EXTENSIONS


def detect_format(file: BinaryIO) -> str:
    """Detect the format of a file from its first bytes, whatever its name.

    Returns
    -------
    The name of the one Pillow plugin that is allowed to open it, or "RAW" for raw photos.

    Raises
    ------
    PhotoError
        If captioner does not read the format; the reason names it.
    """
    head = file.read(_HEADER_BYTES)
    kind = _kind(head)
    if kind == "TIFF" and _is_raw(head, file):
        kind = "RAW"
    if kind == "RAW" and not find_spec("rawpy"):
        raise _not_installed("raw photo", "raw")
    if kind == "HEIF" and not supports_heic():
        raise _not_installed("HEIC picture", "heic")
    return kind


def supports_heic() -> bool:
    """Whether HEIC can be read: the Pillow plugin comes with the extra `[heic]`."""
    return bool(find_spec("pi_heif"))


def _not_installed(what: str, extra: str) -> PhotoError:
    return PhotoUnavailableError(
        f"it is a {what}, and the package that reads those is not installed.",
        f"Install it with: pip install 'captioner[{extra}]'.",
    )


def _kind(head: bytes) -> str:
    for start, name in _SUPPORTED:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _iso_media_kind(head)
    if not head:
        raise PhotoError("it is empty.", "Copy it again, or restore it from a backup.")
    if not head.strip(b"\0"):
        raise PhotoError(
            "it begins with nothing but zeros: its content is lost.", "Restore it from a backup."
        )
    for start, what in _UNSUPPORTED:
        if head.startswith(start):
            raise PhotoError(f"it is {what}.", _remedy(what))
    if head[:4] == b"RIFF":
        what = {b"AVI ": "a video", b"WAVE": "a sound file"}.get(head[8:12], "a RIFF file")
        raise PhotoError(f"it is {what}.")
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        raise PhotoError("it is a Netpbm picture (PBM, PGM, PPM or PAM).", _CONVERT)
    if text := _text_start(head):
        raise _text_error(text)
    raise PhotoError(
        "its content is not in any format that captioner reads "
        "(JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, raw photos)."
    )


def _remedy(what: str) -> str:
    if any(word in what for word in _ARCHIVES):
        return "Unpack it first."
    if any(word in what for word in _PLACEHOLDERS):
        return "Download or copy the photo itself."
    if "video" in what or "sound" in what or "database" in what:
        return ""
    return _CONVERT


def _text_start(head: bytes) -> str:
    """The beginning of a text file, in lower case; empty for other files."""
    for mark, encoding in (
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"", "utf-8"),
    ):
        if head.startswith(mark):
            with suppress(UnicodeDecodeError):  # incremental: the last character may be cut
                text = getincrementaldecoder(encoding)().decode(head.removeprefix(mark))
                text = text.removeprefix("\ufeff")
                if all(c.isprintable() or c in "\t\r\n\f" for c in text):
                    return text.lower().strip()
            return ""
    return ""


def _text_error(text: str) -> PhotoError:
    if text.startswith(("<!doctype html", "<html", "<head", "<body")):
        reason = "it is a web page, not a picture: perhaps an error page of the site it came from."
        return PhotoError(reason, "Download the photo again.")
    if "<svg" in text or "<!doctype svg" in text:
        return PhotoError("it is an SVG drawing.", _CONVERT)
    return PhotoError("it contains text, not a picture.", "Download the photo again.")


def _iso_media_kind(head: bytes) -> str:
    """The format of an ISO base media file (HEIC, AVIF, Canon CR3, video), from its brands."""
    length = int.from_bytes(head[:4], "big")
    brands = {head[at : at + 4] for at in range(8, min(length, len(head)), 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIF"
    if b"crx " in brands:
        return "RAW"
    if brands & {b"jxl "}:
        raise PhotoError("it is a JPEG XL picture.", _CONVERT)
    if brands & {b"M4A ", b"M4B "}:
        raise PhotoError("it is a sound file.")
    if brands & _HEIF_OF_OTHER_CODECS:
        raise PhotoError("it is a kind of HEIF picture that captioner does not read.", _CONVERT)
    raise PhotoError("it is a video.")


def _is_raw(head: bytes, file: BinaryIO) -> bool:
    """Whether a TIFF is a raw photo: most makers' are TIFF files that begin with a thumbnail.

    Decoded as TIFF, they would give the thumbnail.
    """
    if head[8:10] == b"CR" or head[8:12] == b"IIII":  # Canon, Phase One
        return True
    order = "<" if head[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    with suppress(struct.error, OSError):
        file.seek(*struct.unpack_from(f"{order}I", head, 4))
        (number,) = struct.unpack(f"{order}H", file.read(2))
        for _ in range(min(number, _MAX_TAGS)):
            tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
            short = f"{order}H" if kind == 3 else f"{order}I"
            (tags[tag],) = struct.unpack_from(short, value)
    is_dng = 50706 in tags
    thumbnail_first = tags.get(254, 0) & 1 and 330 in tags  # NewSubfileType, SubIFDs
    sensor_first = tags.get(262) in (32803, 34892)  # PhotometricInterpretation
    return bool(is_dng or thumbnail_first or sensor_first)
