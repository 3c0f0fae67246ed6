"""Decoding: from a file's content to the model input, an upright RGB image resized to a square."""

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
from captioner.photos.diagnosis import MAX_PIXELS, diagnose, is_truncated
from captioner.photos.facts import read_facts
from captioner.photos.raw import develop
from captioner.photos.tiff import eight_bits, read_layout, with_eight_bits
from captioner.types import Facts, PixelArray

# Pillow would import these three on demand, but only together with forty others.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

# Pillow refuses images of twice this number of pixels. It has no other setting, and this one is
# for the whole process.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2

# Pillow warns, without naming the file, about odd metadata that does not affect pixels; and its
# libtiff prints messages about damaged files, for which Pillow raises exceptions anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(AttributeError, OSError):  # if libtiff is linked in another way
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

_DRAFT = 1.6
"""JPEGs are decoded at 1/2, 1/4 or 1/8 scale if at least this multiple of the input size is left.

A usual photo of 12 megapixels is thus decoded at 1/8 for an input size of 224: 27 ms instead of 86
for the whole photo, at a PSNR of 50 dB against it, 42 at worst (JPEG itself costs 38). A multiple
of 2 takes 39 ms.
"""

_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""

SizeCheck = Callable[[int, int], None]
"""Called with an image's number of pixels once its header is read, before pixels are decoded.

The first argument is the number of pixels to decode, the second the number stored; a JPEG decoded
at a smaller scale has fewer of the former. Raises to refuse the image; what it raises is passed on
unless it is an `Exception`.
"""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """The decoded content of a file."""

    rgb: PixelArray
    """uint8 (size, size, 3), sRGB."""
    width: int
    """Of the upright original, pixels."""
    height: int
    facts: Facts


def decode(file: BinaryIO, kind: str, size: int, check_size: SizeCheck) -> DecodedImage:
    """Decode a file's content to the model input of `size` × `size` pixels.

    Of animations and documents, the first image is decoded; of raw photos, the preview. The eight
    EXIF orientations of one image give the same array if the format is lossless.

    Parameters
    ----------
    kind
        The format, as `formats.detect_format` returns it.
    size
        Side of the model input, pixels.

    Raises
    ------
    PhotoError
        With a reason that completes "cannot read PATH: …", and a remedy if there is one.
    """
    try:
        if kind == "TIFF" and (converted := _converted_tiff(file, check_size)):
            return _decode(converted, kind, size, _accept_any_size)
        try:
            if kind == "JPEG" and _is_zero_filled(file):
                raise OSError("truncated")
            return _decode(file, kind, size, check_size)
        except OSError as error:
            if kind == "JPEG" and (completed := _with_end_marker(file, error)):
                return _decode(completed, kind, size, _accept_any_size)
            raise
    except PhotoError:
        raise
    except Exception as error:  # for damaged files Pillow raises almost anything
        raise diagnose(kind, file, error) from error


def _decode(file: BinaryIO, kind: str, size: int, check_size: SizeCheck) -> DecodedImage:
    file.seek(0)
    with _open(file, kind, size) as (image, stored, margin):
        check_size(image.width * image.height, stored[0] * stored[1])
        image.load()  # turns a TIFF, whose size was upright already; others stay as stored
        facts = read_facts(image, file)
        orientation = _orientation(image)
        sideways = kind != "RAW" and orientation in _SIDEWAYS
        width, height = stored[::-1] if sideways else stored
        turned = upright(image)
        rgb = model_input(turned, size, _crop_box(margin, orientation, turned.size))
        return DecodedImage(rgb, width, height, facts)


def _is_zero_filled(jpeg_file: BinaryIO) -> bool:
    jpeg_file.seek(-min(64, jpeg_file.seek(0, io.SEEK_END)), io.SEEK_END)
    if jpeg_file.read().strip(b"\0"):
        return False
    jpeg_file.seek(0)
    return jpeg.is_zero_filled(jpeg_file.read())


def _accept_any_size(decoded_pixels: int, stored_pixels: int) -> None:
    """The `SizeCheck` of an image that has been checked already."""


def _with_end_marker(file: BinaryIO, error: OSError) -> BinaryIO | None:
    """A JPEG whose picture is complete, with its missing end marker added."""
    if not is_truncated(error):
        return None
    file.seek(0)
    content = jpeg.with_end_marker(file.read())
    return io.BytesIO(content) if content else None


def _converted_tiff(file: BinaryIO, check_size: SizeCheck) -> BinaryIO | None:
    """A TIFF that Pillow reads wrongly or not at all, converted to one that it reads."""
    layout = read_layout(file)
    if layout and not layout.read_by_pillow:
        check_size(layout.width * layout.height, layout.width * layout.height)
        if layout.width * layout.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return with_eight_bits(file, layout)
    return None


@contextmanager
def _open(
    file: BinaryIO, kind: str, size: int
) -> Iterator[tuple[Image.Image, tuple[int, int], tuple[float, float]]]:
    """Open an image, with the photo's stored width and height, and the margin outside the photo.

    The margin is how much of the image's right and lower edge, in its pixels, lies outside the
    photo: a JPEG of 1,001 pixels is 125.1 wide at 1/8 scale, but is decoded to 126.
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


def _crop_box(
    margin: tuple[float, float], orientation: object, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom) of an upright image without the margin."""
    right, bottom = margin[::-1] if orientation in _SIDEWAYS else margin
    left = right if orientation in (2, 3, 6, 7) else 0
    top = bottom if orientation in (3, 4, 7, 8) else 0
    return left, top, size[0] - right + left, size[1] - bottom + top


def upright(image: Image.Image) -> Image.Image:
    """Convert an image to upright RGB with 8 bits per channel, as viewers show it.

    The EXIF orientation is applied; transparency is composed on white; CMYK, palettes and grey are
    converted to RGB; higher bit depths are scaled, not clipped. Loads and turns `image` in place.
    Colours stay in the space of the embedded profile: `model_input` converts them to sRGB once
    there are fewer pixels.
    """
    image.load()
    if _orientation(image) != 1:
        # Pillow would write these blocks again, which can fail.
        for block in ("exif", "Raw profile type exif"):
            image.info.pop(block, None)
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        background = Image.new("RGB", layer.size, "white")
        background.paste(layer, mask=layer)
        background.info = layer.info
        return background
    return image if image.mode == "RGB" else image.convert("RGB")


def model_input(
    image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None
) -> PixelArray:
    """Resize an upright RGB image to the model input: the one resize rule of training and use.

    The whole image is squashed to a square by Pillow's bicubic filter with antialiasing; an image
    more than six times too large is first box-averaged to three times the size (56 dB from the
    filter alone, in half the time). An image that has the size already is unchanged. Finally,
    colours are converted to sRGB if a profile is embedded: phones and cameras use wider spaces.

    Parameters
    ----------
    box
        The part of the image that is the photo (left, top, right, bottom); all by default.

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
    """Colour transform from an ICC profile to sRGB; None if it is not for RGB, or damaged."""
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
    except Exception:  # with a damaged EXIF block, a photo loses its orientation, not its caption
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 or 32 bits (modes I;16, I and F) to mode L."""
    values = np.asarray(image)
    bits = 32
    if image.mode.startswith("I;16"):
        bits = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0]
    formats = {"u": 1, "i": 2, "f": 3}
    return Image.fromarray(eight_bits(values, formats[values.dtype.kind], bits))
