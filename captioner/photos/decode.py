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
    WebPImagePlugin,
    _imaging,
)

from captioner.errors import PhotoError
from captioner.photos import jpeg
from captioner.photos.diagnosis import LARGEST, diagnose, is_cut
from captioner.photos.facts import read_facts
from captioner.photos.raw import develop
from captioner.photos.tiff import eight_bits, read_layout, with_eight_bits
from captioner.types import Facts, PixelArray

# Pillow imports these three on demand only together with forty others.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

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
        if kind == "TIFF" and (readable := _readable(file, weigh)):
            return _decode(readable, kind, size, _weighed)
        try:
            if kind == "JPEG" and _is_zero_filled(file):
                raise OSError("truncated")
            return _decode(file, kind, size, weigh)
        except OSError as error:
            if kind == "JPEG" and (whole := _mended(file, error)):
                return _decode(whole, kind, size, _weighed)
            raise
    except PhotoError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything
        raise diagnose(kind, file, error) from error


def _decode(file: BinaryIO, kind: str, size: int, weigh: Callable[[int, int], None]) -> Picture:
    file.seek(0)
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


def _is_zero_filled(jpeg_file: BinaryIO) -> bool:
    jpeg_file.seek(-min(64, jpeg_file.seek(0, io.SEEK_END)), io.SEEK_END)
    if jpeg_file.read().strip(b"\0"):
        return False
    jpeg_file.seek(0)
    return jpeg.is_zero_filled(jpeg_file.read())


def _weighed(unpacked: int, stored: int) -> None:
    """For what has been weighed before."""


def _mended(file: BinaryIO, error: OSError) -> BinaryIO | None:
    """A JPEG whose picture is complete, with the end marker that it lacks."""
    if not is_cut(error):
        return None
    file.seek(0)
    content = jpeg.with_end(file.read())
    return io.BytesIO(content) if content else None


def _readable(file: BinaryIO, weigh: Callable[[int, int], None]) -> BinaryIO | None:
    """A TIFF that Pillow would not read, or not rightly, as one that it does."""
    layout = read_layout(file)
    if layout and not layout.read_by_pillow:
        weigh(layout.width * layout.height, layout.width * layout.height)
        if layout.width * layout.height > LARGEST:
            raise Image.DecompressionBombError
        return with_eight_bits(file, layout)
    return None


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
    bits = 32
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0]
    formats = {"u": 1, "i": 2, "f": 3}
    return Image.fromarray(eight_bits(values, formats[values.dtype.kind], bits))
