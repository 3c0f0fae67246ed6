"""Photos in buckets and on other machines: listing and downloading, by any fsspec file system.

A photo's path is its URI, such as s3://bucket/2024/a.jpg. Credentials and addresses are those of
the file system's own configuration. Nothing is written there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError, PhotoUnavailableError
from captioner.photos.formats import may_be_photo
from captioner.photos.ignore_rules import NO_MEDIA, IgnoreRules, is_hidden
from captioner.types import Failure, Listing, Photo

_LISTING_SIZE = 500
"""Photos in a listing, at most."""
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
"""What file systems call the modification time."""


def listings(
    uri: str, rules: IgnoreRules, *, include_hidden: bool = False
) -> Iterator[Listing | Failure]:
    """The photos under a URI, as `captioner.photos.walk.listings` finds them in folders.

    Ignore files and sidecars are not read.

    Raises
    ------
    CaptionerError
        If the package for this kind of URI is not installed.
    """
    system, root = file_system(uri)
    scheme = uri.partition("://")[0]
    try:
        info = system.info(root)
        if info["type"] == "file":
            yield Listing.of(Photo(uri, int(info["size"] or 0), _mtime_ns(info)))
            return
        yield from _search(system, root, scheme, rules, include_hidden)
    except Exception as error:  # each file system has errors of its own
        yield Failure(Path(uri), _explained(error))


@contextmanager
def downloaded(photo: Photo, uri: str) -> Iterator[Photo]:
    """A remote photo as a temporary local file.

    Raises
    ------
    PhotoUnavailableError
        If it cannot be downloaded now.
    """
    system, path = file_system(uri)
    with tempfile.TemporaryDirectory(prefix="captioner-") as folder:
        local = Path(folder) / "photo"
        try:
            system.get_file(path, os.fspath(local))
        except Exception as error:
            raise PhotoUnavailableError(_explained(error), "It will be tried again.") from error
        # As listed, so that a file that has changed since then is noticed by its size.
        os.utime(local, ns=(photo.mtime_ns, photo.mtime_ns))
        yield Photo(local, photo.size, photo.mtime_ns)


def file_system(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI or a local path, and the path in it.

    Raises
    ------
    CaptionerError
        If fsspec, or the package for this kind of URI, is not installed.
    """
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(uri)
    except ImportError as error:
        raise CaptionerError(
            f"{uri} needs a package that is not installed: {error}.",
            "Install it with: pip install 'captioner[ray]'",
        ) from None
    except ValueError as error:  # an unknown scheme
        raise CaptionerError(f"{uri} cannot be read: {error}.", "Is it misspelled?") from None
    return system, str(path)


def _search(
    system: Any, folder: str, scheme: str, rules: IgnoreRules, include_hidden: bool
) -> Iterator[Listing]:
    entries = sorted(system.ls(folder, detail=True, refresh=True), key=lambda one: one["name"])
    names = [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries]
    if NO_MEDIA in names and not include_hidden:
        return
    listing = Listing(f"{scheme}://{folder.strip('/')}/")
    folders = []
    for name, entry in zip(names, entries, strict=True):
        is_folder = entry["type"] == "directory"
        if not name or entry["name"].rstrip("/") == folder.rstrip("/"):
            continue  # the marker of the folder itself
        if (is_hidden(name) and not include_hidden) or rules.ignores(name, is_folder):
            continue
        if is_folder:
            folders.append((name, str(entry["name"])))
        elif may_be_photo(name):
            listing.names.append(name)
            listing.sizes.append(int(entry["size"] or 0))
            listing.mtimes_ns.append(_mtime_ns(entry))
            if len(listing) == _LISTING_SIZE:
                yield listing
                listing = Listing(listing.prefix)
    if len(listing):
        yield listing
    for name, path in folders:
        yield from _search(system, path, scheme, rules.below(name), include_hidden)


def _mtime_ns(info: Mapping[str, Any]) -> int:
    """The modification time, nanoseconds since 1970; 0 if the file system has none."""
    found = next((info[name] for name in _TIMES if info.get(name) is not None), 0)
    if isinstance(found, datetime):
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return int(float(found) * 1_000_000) * 1000 if isinstance(found, int | float) else 0


def _explained(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text.rstrip('.')}."
