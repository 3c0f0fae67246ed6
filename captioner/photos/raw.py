"""Raw photos: the preview that the camera embedded, or else a quick development by LibRaw."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from PIL import ExifTags, Image

if TYPE_CHECKING:
    import rawpy

_TRANSPOSITIONS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
}
"""By the values of LibRaw's `flip`."""


def develop(file: BinaryIO, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """An image of a raw photo, and the photo's upright width and height.

    The camera's own preview looks as the camera developed the photo, and is read at once. Only if
    there is none, or its shorter side has fewer than `size` pixels, the sensor data is developed,
    at half resolution. The image is upright, or has the EXIF orientation by which to turn it, but
    never both.
    """
    import rawpy

    with rawpy.imread(file) as raw:
        sizes = raw.sizes
        sideways = sizes.flip in (5, 6)
        upright = (sizes.height, sizes.width) if sideways else (sizes.width, sizes.height)
        image = _preview(raw)
        if image is None or min(image.size) < size:
            try:
                image = Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))
            except rawpy.LibRawError:  # better a small preview than none
                if image is None:
                    raise
    return image, upright


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    import rawpy

    try:
        found = raw.extract_thumb()  # the largest of them
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if found.format == rawpy.ThumbFormat.JPEG:
        content = io.BytesIO(cast(bytes, found.data))
        image: Image.Image = Image.open(content, formats=("JPEG",))
        # If the preview has no orientation of its own, LibRaw's applies.
        if ExifTags.Base.Orientation in image.getexif():
            return image
    else:
        image = Image.fromarray(np.asarray(found.data))
    transposition = _TRANSPOSITIONS.get(raw.sizes.flip)
    return image.transpose(transposition) if transposition is not None else image
