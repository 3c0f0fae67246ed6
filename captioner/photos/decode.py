"""From a file's content to the pixels a model sees: upright, RGB, squashed to a square."""

from __future__ import annotations

import ctypes
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np
from PIL import (
    AvifImagePlugin,
    ExifTags,
    Image,
    ImageCms,
    ImageOps,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    _imaging,
)

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos.facts import read_facts
from captioner.photos.files import explain
from captioner.photos.raw import develop
from captioner.types import Facts, PixelArray

# Pillow imports these three on demand only together with forty others.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

LARGEST = 1 << 28
"""Pixels. Phones take 200 megapixels; beyond 268 a header is taken for a decompression bomb."""
# Pillow refuses from twice this figure on. It has no setting but this one, for the whole process.
Image.MAX_IMAGE_PIXELS = LARGEST // 2

# Pillow warns, without naming the file, of odd metadata that costs no pixel; and libtiff, in it,
# prints its own view of a damaged file, for which Pillow raises anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(AttributeError, OSError):  # where libtiff is no library of its own
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

_DRAFT = 1.6
"""A JPEG is unpacked at 1/2, 1/4 or 1/8 where that leaves this many times the square's side.

So the usual 12 megapixels are unpacked at 1/8 for a square of 224: 27 ms in place of 86 for the
whole photo, at 50 dB from it, and 42 at worst (JPEG itself costs 38). Twice the side takes 39 ms.
"""

_CUT = ("truncated", "input/output error", "unexpected end", "end of file")
"""What decoders say of a file that ends too early."""

_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file's content holds."""

    rgb: PixelArray
    """uint8 (size, size, 3), sRGB."""
    width: int
    """Of the upright original, pixels."""
    height: int
    facts: Facts


def decode(file: BinaryIO, kind: str, size: int, weigh: Callable[[int, int], None]) -> Picture:
    """Decode a file's content to a square of `size` pixels a side.

    Animations and documents give their first picture, raw photos their preview. The eight ways to
    store one picture, turned and with the EXIF orientation that turns it back, give the same
    array, as long as the format keeps pixels exactly.

    Parameters
    ----------
    kind
        As `formats.recognise` has it.
    weigh
        Called when the header is read, before any pixel is unpacked, with how many will be, and
        with how many there are. What it raises is raised on, if it is no `Exception`.

    Raises
    ------
    PhotoError
        With a reason that completes "cannot read PATH: …", and a remedy where there is one.
    """
    try:
        with _open(file, kind, size) as (image, stored, edge):
            weigh(image.width * image.height, stored[0] * stored[1])
            image.load()  # turns a TIFF, whose size was given upright; others stay as stored
            facts = read_facts(image, file)
            orientation = _orientation(image)
            sideways = kind != "RAW" and orientation in _SIDEWAYS
            width, height = stored[::-1] if sideways else stored
            seen = upright(image)
            rgb = square(seen, size, _without(edge, orientation, seen.size))
            return Picture(rgb, width, height, facts)
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise _diagnose(kind, error) from error


@contextmanager
def _open(
    file: BinaryIO, kind: str, size: int
) -> Iterator[tuple[Image.Image, tuple[int, int], tuple[float, float]]]:
    """The picture, to be unpacked, and the photo's width and height as they are stored.

    Last, how much of the picture's right and lower edge, in its pixels, lies outside the photo: a
    JPEG of 1,001 pixels is 125.1 wide at 1/8, but is unpacked to 126.
    """
    if kind == "RAW":
        image, stored = develop(file, size)
    else:
        if kind == "HEIF":
            import pi_heif

            pi_heif.register_heif_opener()
        image = Image.open(file, formats=(kind,))
        stored = image.size
    with image:
        drafted = image.draft(None, (int(_DRAFT * size), int(_DRAFT * size)))
        _, _, right, bottom = drafted[1] if drafted else (0, 0, *image.size)
        yield image, stored, (image.width - right, image.height - bottom)


def _without(
    edge: tuple[float, float], orientation: object, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The box of an upright picture that leaves out what lies outside the photo."""
    right, bottom = edge[::-1] if orientation in _SIDEWAYS else edge
    left = right if orientation in (2, 3, 6, 7) else 0
    top = bottom if orientation in (3, 4, 7, 8) else 0
    return left, top, size[0] - right + left, size[1] - bottom + top


def upright(image: Image.Image) -> Image.Image:
    """Show a picture as a person would see it: turned by its EXIF orientation, RGB, 8 bits a band.

    What is transparent is laid on white; CMYK, palettes and grey become RGB; more than 8 bits are
    scaled, not clipped. `image` itself is loaded and turned. The colours stay in the space that
    the picture's profile names: `square` takes them to sRGB when there are fewer.
    """
    image.load()
    if _orientation(image) != 1:
        for block in ("exif", "Raw profile type exif"):  # else written anew, where that can fail
            image.info.pop(block, None)
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        paper = Image.new("RGB", seen.size, "white")
        paper.paste(seen, mask=seen)
        paper.info = seen.info
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def square(
    image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> PixelArray:
    """Squash an upright RGB picture to a square: THE resize rule, in training and in use.

    The whole picture, its proportions given up, by Pillow's bicubic filter with antialiasing; a
    picture more than six times too large is first averaged down to three times (56 dB from the
    filter alone, in half its time). One that has the size already is left as it is. Last, its
    colours are taken to sRGB where it carries a profile: phones and cameras use wider spaces.

    Parameters
    ----------
    box
        What of it is the photo (left, top, right, bottom); all if not given.

    Returns
    -------
    uint8 (size, size, 3), read-only.
    """
    small = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    profile = image.info.get("icc_profile")
    to_srgb = _to_srgb(profile) if profile else None
    return np.asarray(to_srgb.apply(small) if to_srgb else small)


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Colour transform from an RGB profile; None where it is for other bands, or damaged."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != "RGB ":
            return None
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(source, target, "RGB", "RGB")
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block costs a photo its turn, not its caption
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 or 32 bits (modes I;16, I and F) to mode L."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0]
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    # 32 bits leave open what is white: the least of the usual three that holds all values, else
    # the brightest one, and then black is the darkest.
    with np.errstate(invalid="ignore"):
        values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    usual = [white for white in (1.0, 255.0, 65535.0) if low >= 0 and high <= white]
    black, white = (0.0, usual[0]) if usual else (low, high)
    scaled = np.clip((values - black) / max(white - black, 1e-12), 0, 1)
    return Image.fromarray((np.nan_to_num(scaled) * 255 + 0.5).astype(np.uint8))


def _diagnose(kind: str, error: Exception) -> PhotoError:
    """Say in plain words what ails a file, whatever Pillow made of it."""
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
        case UnidentifiedImageError():
            reason = f"it begins as {kind}, but its header is damaged or cut short."
        case _ if any(sign in words.lower() for sign in _CUT):
            reason = f"its {kind} data ends too early."
        case _:
            reason = f"its {kind} data is damaged ({words or type(error).__name__})."
    return PhotoError(reason, "Copy it again, or restore it from a backup.")
