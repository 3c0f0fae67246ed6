"""Decoding for executors: a photo to pixels, or to a failure with the reason."""

from __future__ import annotations

from dataclasses import replace

from captioner.errors import CaptionerError, PhotoError, PhotoUnavailableError
from captioner.photos.read import read
from captioner.system.paths import remote_uri
from captioner.types import DecodedPhoto, Failure, Photo


def decode(photo: Photo | Failure, size: int) -> DecodedPhoto | Failure:
    """Decode one photo to a model input of `size` × `size` pixels, or give the reason."""
    if isinstance(photo, Failure):
        return photo
    try:
        if uri := remote_uri(photo.path_str):
            from captioner.photos.remote import downloaded

            with downloaded(photo, uri) as local:
                return replace(read(local, size), photo=photo)
        return read(photo, size)
    except PhotoUnavailableError as error:
        return Failure(photo.path, str(error), photo, transient=True)
    except PhotoError as error:
        return Failure(photo.path, str(error), photo)
    except CaptionerError:  # a package is missing, say: every photo would fail
        raise
    except Exception as error:
        # One photo must not end a run of thousands, even if the bug is ours.
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Failure(photo.path, f"unexpected {what}. Please report this.", photo)
