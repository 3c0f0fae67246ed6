"""Raw photos: the preview that the camera put into the file, else a quick development."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from PIL import ExifTags, Image

if TYPE_CHECKING:
    import rawpy

_TURNS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
}
"""What LibRaw's `flip` means."""


def develop(file: BinaryIO, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """A picture of a raw photo, and the photo's upright width and height.

    The camera's own preview shows best what its owner saw, and is there at once. Only where there
    is none, or one that has fewer than `size` pixels a side, the sensor's readings are developed,
    at half their resolution. The picture is upright, or carries the EXIF orientation that says
    how to turn it, but never both.
    """
    import rawpy

    with rawpy.imread(file) as raw:
        sizes = raw.sizes
        sideways = sizes.flip in (5, 6)
        upright = (sizes.height, sizes.width) if sideways else (sizes.width, sizes.height)
        preview = _preview(raw)
        if preview is None or min(preview.size) < size:
            try:
                preview = Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))
            except rawpy.LibRawError:  # better a small preview than none
                if preview is None:
                    raise
    return preview, upright


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    import rawpy

    try:
        found = raw.extract_thumb()  # the largest of them
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if found.format == rawpy.ThumbFormat.JPEG:
        content = io.BytesIO(cast(bytes, found.data))
        image: Image.Image = Image.open(content, formats=("JPEG",))
        # Where the preview does not say how it lies, LibRaw says so in its place.
        if ExifTags.Base.Orientation in image.getexif():
            return image
    else:
        image = Image.fromarray(np.asarray(found.data))
    turn = _TURNS.get(raw.sizes.flip)
    return image.transpose(turn) if turn is not None else image
