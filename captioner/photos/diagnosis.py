"""Why a photo cannot be read: an explanation for the user from what a decoder raised."""

from __future__ import annotations

import re
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos import jpeg, tiff
from captioner.photos.path_errors import explain

MAX_PIXELS = 1 << 28
"""Phones take 200 megapixels; a header with more than 268 is taken for a decompression bomb."""

_TRUNCATED = ("truncated", "input/output error", "unexpected end", "end of file")
"""In decoders' messages about a file that ends too early."""

_UNSUPPORTED = re.compile(
    "unsupported|not (yet )?supported|no (decoding )?(codec|plugin)|unknown compression"
    "|decoder .*not available|unimplemented",
    re.IGNORECASE,
)
"""In decoders' messages about a variant of a format that they do not decode."""

_CONVERT = "Save it as an ordinary JPEG or PNG with another program."
_RESTORE = "Copy it again, or restore it from a backup."


def diagnose(kind: str, file: BinaryIO, error: Exception) -> PhotoError:
    """Explain why a file of a format could not be decoded, whatever exception Pillow raised."""
    argument = error.args[0] if error.args else ""
    text = argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(error)
    message = " ".join(text.split())
    match error:
        case Image.DecompressionBombError():
            reason = f"its header claims more than {MAX_PIXELS // 1_000_000} megapixels."
            return PhotoError(reason, "If it really is that large, make a smaller copy.")
        case MemoryError():
            reason = "there is not enough memory to decode it."
            return PhotoUnavailableError(reason, "Close other programs, or make a smaller copy.")
        case OSError(errno=int()):
            return PhotoUnavailableError(explain(error))
    if unsupported := _unsupported(kind, file, message):
        return unsupported
    match error:
        case UnidentifiedImageError():
            reason = f"it begins as {kind}, but its header is damaged or incomplete."
        case _ if is_truncated(error):
            reason = f"its {kind} data ends too early."
        case _:
            reason = f"its {kind} data is damaged ({message or type(error).__name__})."
    return PhotoError(reason, _RESTORE)


def is_truncated(error: Exception) -> bool:
    """Whether a decoder's exception means that the file ends too early."""
    return any(sign in str(error).lower() for sign in _TRUNCATED)


def _unsupported(kind: str, file: BinaryIO, message: str) -> PhotoError | None:
    """The error for a file that may be intact, but of a variant that its decoder lacks."""
    file.seek(0)
    if kind == "PNG" and file.read(16)[12:] == b"CgBI":
        return PhotoError(
            "it is a PNG in the form that Apple's Xcode produces for iPhone apps (CgBI).",
            "Convert it with `pngcrush -revert-iphone-optimizations IN OUT`, or save it as JPEG "
            "on a Mac.",
        )
    if kind == "JPEG" and (variant := jpeg.unsupported_variant(file.read())):
        return PhotoError(f"it is {variant}, which captioner does not read.", _CONVERT)
    if kind == "TIFF" and "decoder error" in message:
        layout = tiff.read_layout(file)
        if layout and layout.compression in tiff.COMPRESSIONS:
            return tiff.unsupported_compression(layout.compression)
    if _UNSUPPORTED.search(message):
        reason = f"it is a kind of {kind} that captioner does not read ({message})."
        return PhotoError(reason, _CONVERT)
    return None
