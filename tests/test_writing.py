"""The service that writes what an index has of photos: what is chosen, and what is kept in step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_descriptions import description
from pictures import exif_block, jpeg_with, packet

from captioner.hashing import hash_file
from captioner.index import Index
from captioner.metadata.outcome import WriteOptions, WriteOutcome, WriteStatus
from captioner.metadata.packet import read_packet
from captioner.metadata.reading import read_photo
from captioner.types import Photo
from captioner.writing import IndexWriter, NothingToWrite, WriteSelection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg_with(exif=exif_block({})))
    return file


@pytest.fixture
def database(tmp_path: Path, path: Path) -> Path:
    return indexed(tmp_path / "captioner.db", path)


def indexed(database: Path, path: Path) -> Path:
    one = description(
        now(path), "A dog runs.", keywords=["dog", "boat"], content_hash=hash_file(path)
    )
    with Index.open(database, write=True) as index:
        index.store([one], "model")
    return database


def edit(database: Path, path: Path, *, add: Sequence[str], remove: Sequence[str] = ()) -> None:
    with Index.open(database) as index:
        index.edit_keywords(path, add=add, remove=remove)


def undo(database: Path, path: Path) -> list[WriteOutcome]:
    with Index.open(database, write=True) as index, IndexWriter(index) as writer:
        return writer.undo(now(path))


def now(path: Path) -> Photo:
    return Photo.of(path, path.stat())


def write(
    database: Path, path: Path, selection: WriteSelection | None = None, *, in_place: bool = False
) -> WriteOutcome | NothingToWrite:
    options = WriteOptions(in_place=in_place)
    with (
        Index.open(database, write=True) as index,
        IndexWriter(index, options, selection) as writer,
    ):
        return writer.write(now(path))


def test_a_persons_keywords_are_always_written_and_stay_a_persons(
    database: Path, path: Path
) -> None:
    edit(database, path, add=["Rex", "Dog"], remove=["boat"])
    outcome = write(database, path, WriteSelection(keywords=5))
    assert isinstance(outcome, WriteOutcome)
    metadata = read_packet(outcome.target.read_bytes())
    assert metadata.keywords == ("Rex", "Dog")
    assert metadata.mark.keywords == ()
    outcome = write(database, path, WriteSelection(keywords=5))
    assert isinstance(outcome, WriteOutcome)
    assert outcome.status is WriteStatus.UNCHANGED


@pytest.mark.parametrize("in_place", [False, True])
def test_later_keywords_are_added_and_all_is_undone(
    database: Path, path: Path, in_place: bool
) -> None:
    before = path.read_bytes()
    selection = WriteSelection(keywords=1)
    write(database, path, selection, in_place=in_place)
    edit(database, path, add=["Rex"])
    outcome = write(database, path, selection, in_place=in_place)
    assert isinstance(outcome, WriteOutcome)
    read = read_photo if in_place else read_packet
    metadata = read(outcome.target.read_bytes())
    assert metadata.keywords == ("Rex", "boat")
    assert metadata.mark.keywords == ("boat",)
    [undone] = undo(database, path)
    assert undone.status is WriteStatus.UNDONE
    assert path.read_bytes() == before
    assert not path.with_name("a.jpg.xmp").exists()


def test_they_are_written_next_to_a_persons_caption(tmp_path: Path, path: Path) -> None:
    path.write_bytes(jpeg_with(xmp=packet("<dc:title>x</dc:title>")))
    sidecar = path.with_name("a.jpg.xmp")
    sidecar.write_bytes(packet("<dc:description>Rex at home</dc:description>"))
    database = indexed(tmp_path / "captioner.db", path)
    outcome = write(database, path, WriteSelection(keywords=3))
    assert isinstance(outcome, WriteOutcome)
    assert outcome.status is WriteStatus.SKIPPED
    edit(database, path, add=["Rex"])
    outcome = write(database, path, WriteSelection(keywords=3))
    assert isinstance(outcome, WriteOutcome)
    assert outcome.status is WriteStatus.WRITTEN
    metadata = read_packet(sidecar.read_bytes())
    assert metadata.keywords == ("Rex",)
    assert [text.text for text in metadata.texts] == ["Rex at home"]


def test_the_index_knows_the_photo_after_a_write_and_after_undoing_it(
    database: Path, path: Path
) -> None:
    write(database, path, in_place=True)
    with Index.open(database) as index:
        assert list(index.pending([now(path)])) == []
        assert index.content_hash(path) == hash_file(path)
    undo(database, path)
    with Index.open(database) as index:
        assert list(index.pending([now(path)])) == []
        assert index.content_hash(path) == hash_file(path)


def test_why_nothing_is_written(database: Path, path: Path, tmp_path: Path) -> None:
    sure = WriteSelection(min_confidence=0.9)
    assert write(database, path, sure) is NothingToWrite.UNSURE
    edit(database, path, add=["Rex"])
    outcome = write(database, path, sure)
    assert isinstance(outcome, WriteOutcome)
    assert outcome.status is WriteStatus.WRITTEN
    other = tmp_path / "b.jpg"
    other.write_bytes(path.read_bytes())
    assert write(database, other) is NothingToWrite.UNKNOWN
    path.write_bytes(path.read_bytes() + b"\0")
    assert write(database, path) is NothingToWrite.CHANGED
