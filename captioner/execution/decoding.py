"""Decoding for executors: a photo to pixels, or to a failure with the reason."""

from __future__ import annotations

from captioner.errors import PhotoError, PhotoUnavailableError
from captioner.photos.read import read
from captioner.types import DecodedPhoto, Failure, Photo


def decode(photo: Photo | Failure, size: int) -> DecodedPhoto | Failure:
    """Decode one photo to a model input of `size` × `size` pixels, or give the reason."""
    if isinstance(photo, Failure):
        return photo
    try:
        return read(photo, size)
    except PhotoUnavailableError as error:
        return Failure(photo.path, str(error), photo, transient=True)
    except PhotoError as error:
        return Failure(photo.path, str(error), photo)
    except Exception as error:
        # One photo must not end a run of thousands, even if the bug is ours.
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(photo.path, f"unexpected {what}. Please report this.", photo)
