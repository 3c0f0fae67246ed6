"""Why a photo cannot be read, in words for a person, from what a decoder raised."""

from __future__ import annotations

import re
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos import jpeg, tiff
from captioner.photos.path_errors import explain

LARGEST = 1 << 28
"""Pixels. Phones take 200 megapixels; beyond 268 a header is taken for a decompression bomb."""

_CUT = ("truncated", "input/output error", "unexpected end", "end of file")
"""What decoders say of a file that ends too early."""

_UNSUPPORTED = re.compile(
    "unsupported|not (yet )?supported|no (decoding )?(codec|plugin)|unknown compression"
    "|decoder .*not available|unimplemented",
    re.IGNORECASE,
)
"""What decoders say of files that they do not know how to decode."""

_SAVE_ANEW = "Save it as a usual JPEG or PNG with another program."
_RESTORE = "Copy it again, or restore it from a backup."


def diagnose(kind: str, file: BinaryIO, error: Exception) -> PhotoError:
    """The reason for which a file of a format could not be decoded, whatever Pillow made of it."""
    told = error.args[0] if error.args else ""
    told = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(error)
    words = " ".join(told.split())
    match error:
        case Image.DecompressionBombError():
            reason = f"it claims to have more than {LARGEST // 1_000_000} megapixels."
            return PhotoError(reason, "If that is true, make a smaller copy.")
        case MemoryError():
            reason = "there is not enough memory to unpack it."
            return PhotoUnavailableError(reason, "Close other programs, or make a smaller copy.")
        case OSError(errno=int()):
            return PhotoUnavailableError(explain(error))
    if unsupported := _unsupported(kind, file, words):
        return unsupported
    match error:
        case UnidentifiedImageError():
            reason = f"it begins as {kind}, but its header is damaged or cut short."
        case _ if is_cut(error):
            reason = f"its {kind} data ends too early."
        case _:
            reason = f"its {kind} data is damaged ({words or type(error).__name__})."
    return PhotoError(reason, _RESTORE)


def is_cut(error: Exception) -> bool:
    """Whether a decoder says that a file ends too early."""
    return any(sign in str(error).lower() for sign in _CUT)


def _unsupported(kind: str, file: BinaryIO, words: str) -> PhotoError | None:
    """For a file that may be sound, but is of a kind that its decoder does not know."""
    file.seek(0)
    if kind == "PNG" and file.read(16)[12:] == b"CgBI":
        return PhotoError(
            "it is a PNG in the form that Apple's Xcode makes for iPhone apps (CgBI).",
            "Convert it with `pngcrush -revert-iphone-optimizations IN OUT`, or save it as JPEG "
            "on a Mac.",
        )
    if kind == "JPEG" and (unusual := jpeg.unusual_kind(file.read())):
        return PhotoError(f"it is {unusual}, which captioner does not read.", _SAVE_ANEW)
    if kind == "TIFF" and "decoder error" in words:
        layout = tiff.read_layout(file)
        if layout and layout.compression in tiff.COMPRESSIONS:
            return tiff.unsupported_compression(layout.compression)
    if _UNSUPPORTED.search(words):
        reason = f"it is a {kind} of a kind that captioner does not read ({words})."
        return PhotoError(reason, _SAVE_ANEW)
    return None
