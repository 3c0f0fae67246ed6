"""Thumbnails: small upright JPEGs of photos, made by the decoder that the model uses, and cached.

Nothing of the photo's own file is passed on but its pixels: a thumbnail has no metadata.
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from PIL import Image

from captioner.app_paths import usable_cache
from captioner.photos.read import read
from captioner.types import DecodedPhoto, Photo

TILE, LARGE = 320, 2048
"""Longer sides of thumbnails in pixels: in a grid, and of a single photo."""
QUALITY = 82
"""Of the JPEG."""
MEDIA_TYPE = "image/jpeg"


class ThumbnailCache:
    """Thumbnails on disk, by the content hash of their photos. Safe for threads and processes.

    Parameters
    ----------
    folder
        None: the subfolder `thumbnails` of the user's cache, or none if that cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or usable_cache("thumbnails")

    def get(self, content_hash: bytes | None, side: int = TILE) -> bytes | None:
        """The cached thumbnail of a content; None if there is none."""
        if self._folder is None or content_hash is None:
            return None
        try:
            return self._path(self._folder, content_hash, side).read_bytes()
        except OSError:
            return None

    def make(self, photo: Photo, side: int = TILE) -> bytes:
        """Make a photo's thumbnail and keep it.

        Raises
        ------
        PhotoError
            If the photo cannot be read.
        """
        decoded = read(photo, side)
        made = encode(decoded)
        if self._folder is not None:
            path = self._path(self._folder, decoded.content_hash, side)
            with suppress(OSError):  # a full disk costs the cache, not the picture
                _write(path, made)
        return made

    @staticmethod
    def _path(folder: Path, content_hash: bytes, side: int) -> Path:
        name = content_hash.hex()
        return folder / str(side) / name[:2] / f"{name[2:]}.jpg"


def encode(decoded: DecodedPhoto) -> bytes:
    """A decoded photo, which the decoder squashed to a square, as a JPEG in its own proportions.

    The longer side is that of the square, or the photo's own if that is shorter.
    """
    side = min(len(decoded.rgb), max(decoded.width, decoded.height))
    scale = side / max(decoded.width, decoded.height)
    size = max(1, round(decoded.width * scale)), max(1, round(decoded.height * scale))
    picture = Image.fromarray(decoded.rgb)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(content)
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
