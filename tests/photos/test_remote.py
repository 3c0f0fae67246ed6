"""Photos in buckets: found, downloaded and known by their URIs. The bucket is in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from colour_describer import photo
from recording_describer import RecordingDescriber

from captioner.errors import CaptionerError
from captioner.execution import describe
from captioner.photos.walk import Selection, walk
from captioner.system.paths import key, remote_uri
from captioner.types import Description, Failure, Photo

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Any]:
    """A bucket with photos in two folders."""
    system = fsspec.filesystem("memory")
    for name in ("b/2.jpg", "b/1.jpg", "b/c/3.jpg", "b/.hidden.jpg", "b/notes.txt", "b/raw/4.jpg"):
        system.pipe_file(f"/{name}", photo(tmp_path / name, "red").read_bytes())
    yield system
    system.rm("/b", recursive=True)


def paths(*found: Photo | Failure) -> list[str]:
    return [one.path_str if isinstance(one, Photo) else str(one) for one in found]


@pytest.mark.usefixtures("bucket")
def test_photos_below_a_uri_are_found_by_their_uris() -> None:
    assert paths(*walk([Path("memory://b")])) == [
        "memory://b/1.jpg", "memory://b/2.jpg", "memory://b/c/3.jpg", "memory://b/raw/4.jpg",
    ]  # fmt: skip
    assert paths(*walk([Path("memory://b")], Selection(("raw/",), include_hidden=True))) == [
        "memory://b/.hidden.jpg", "memory://b/1.jpg", "memory://b/2.jpg", "memory://b/c/3.jpg",
    ]  # fmt: skip
    assert paths(*walk([Path("memory://b/c/3.jpg")])) == ["memory://b/c/3.jpg"]


@pytest.mark.usefixtures("bucket")
def test_they_are_described_by_any_executor() -> None:
    results = list(describe(walk([Path("memory://b")]), RecordingDescriber()))
    assert [str(one) for one in results if isinstance(one, Description)] == [
        f"memory://b/{name}: A red photo." for name in ("1.jpg", "2.jpg", "c/3.jpg", "raw/4.jpg")
    ]


def test_a_damaged_one_fails_for_good(bucket: Any) -> None:
    whole = bucket.cat_file("/b/c/3.jpg")
    bucket.pipe_file("/b/c/3.jpg", whole[:100])
    [failure] = describe(walk([Path("memory://b/c")]), RecordingDescriber())
    assert isinstance(failure, Failure)
    assert not failure.transient
    found = list(walk([Path("memory://b/c")]))
    bucket.pipe_file("/b/c/3.jpg", whole[:120])  # it is still being written
    [failure] = describe(found, RecordingDescriber())
    assert isinstance(failure, Failure)
    assert failure.transient


def test_what_disappears_meanwhile_is_tried_again(bucket: Any) -> None:
    found = list(walk([Path("memory://b/c")]))
    bucket.rm_file("/b/c/3.jpg")
    [failure] = describe(found, RecordingDescriber())
    assert isinstance(failure, Failure)
    assert failure.transient
    [failure] = walk([Path("memory://b/nothing")])
    assert isinstance(failure, Failure)


def test_an_unknown_scheme_is_an_error() -> None:
    with pytest.raises(CaptionerError, match="nonsense://x cannot be read"):
        list(walk([Path("nonsense://x")]))


def test_uris_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert remote_uri(Path("s3://bucket/a.jpg")) == "s3://bucket/a.jpg"
    assert key(Path("s3://bucket/a.jpg")) == b"s3://bucket/a.jpg"
    for local in ("a.jpg", "/s3:/a.jpg", "C:/a.jpg", "x/s3://a.jpg", "a: b/c.jpg"):
        assert remote_uri(local) is None
    (tmp_path / "s3:").mkdir()
    assert remote_uri("s3:/a.jpg") is None
    assert key("s3:/a.jpg") == os.fsencode(tmp_path / "s3:/a.jpg")
