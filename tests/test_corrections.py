"""Corrections as a training corpus: its layout, and that nothing is moved or overwritten."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from fake_descriptions import description
from pictures import picture

from captioner import corrections, system
from captioner.errors import UsageError
from captioner.hashing import hash_file
from captioner.index import Index
from captioner.training.corpora import read_corpus
from captioner.types import Photo

CAPTIONS = ('He said "sit", twice', "-1 °C, snow", "Rex")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    made = [folder / name for name in ("a.JPG", "b, c.png", "d.jpg")]
    for number, path in enumerate(made):
        path.write_bytes(picture("PNG" if path.suffix == ".png" else "JPEG") + bytes(number))
    return made


@pytest.fixture
def index(tmp_path: Path, photos: list[Path]) -> Index:
    opened = Index.open(tmp_path / "captioner.db", write=True)
    for path, caption in zip(photos, CAPTIONS, strict=True):
        photo = Photo.of(path, path.stat())
        opened.store([description(photo, "A dog.", content_hash=hash_file(path))], "model")
        opened.set_caption(path, caption)
    return opened


def read(folder: Path) -> dict[bytes, tuple[str, ...]]:
    return {one.path.read_bytes(): one.captions for one in read_corpus(folder).photos}


@pytest.mark.parametrize("copy", [False, True])
def test_training_reads_them(index: Index, photos: list[Path], tmp_path: Path, copy: bool) -> None:
    summary = corrections.export(index, tmp_path / "new" / "corpus", copy=copy)
    assert summary == corrections.CorpusSummary(3, 3)
    corpus = tmp_path / "new" / "corpus"
    expected = {
        path.read_bytes(): (caption,) for path, caption in zip(photos, CAPTIONS, strict=True)
    }
    assert read(corpus) == expected
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["corpus"]
    links = [path.is_symlink() for path in (corpus / "Images").iterdir()]
    assert links == [not copy and not system.WINDOWS] * 3
    assert all(path.exists() for path in photos)
    archive = b"".join(corrections.archive(index)[1])
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        opened.extractall(tmp_path / "unpacked")
    assert read(tmp_path / "unpacked") == expected


def test_only_what_a_person_wrote(index: Index, photos: list[Path], tmp_path: Path) -> None:
    index.set_caption(photos[0], "")
    corrections.export(index, tmp_path / "corpus")
    assert sorted(read(tmp_path / "corpus").values()) == [("-1 °C, snow",), ("Rex",)]


def test_identical_photos_are_one_with_both_captions(
    index: Index, photos: list[Path], tmp_path: Path
) -> None:
    copy = tmp_path / "photos" / "z.jpg"
    copy.write_bytes(photos[0].read_bytes())
    photo = Photo.of(copy, copy.stat())
    index.store([description(photo, "A dog.", content_hash=hash_file(copy))], "model")
    index.set_caption(copy, "Rex sits")
    assert corrections.export(index, tmp_path / "corpus").photos == 3
    assert (CAPTIONS[0], "Rex sits") in read(tmp_path / "corpus").values()


def test_absent_and_changed_photos_are_named(
    index: Index, photos: list[Path], tmp_path: Path
) -> None:
    photos[0].unlink()
    photos[1].write_bytes(b"another picture")
    summary = corrections.export(index, tmp_path / "corpus")
    assert summary.absent == (str(photos[0]),)
    assert summary.changed == (str(photos[1]),)
    assert summary.photos == 1
    photos[2].unlink()
    with pytest.raises(UsageError, match="can be opened"):
        corrections.export(index, tmp_path / "another")
    assert not (tmp_path / "another").exists()


@pytest.mark.parametrize("kind", ["file", "full"])
def test_nothing_is_overwritten(index: Index, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "corpus"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").touch()
    with pytest.raises(UsageError, match="not an empty folder"):
        corrections.export(index, target)
    if kind == "file":
        assert target.read_text() == "mine"
    else:
        assert [path.name for path in target.iterdir()] == ["mine"]


def test_an_empty_folder_is_filled(index: Index, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    corrections.export(index, tmp_path / "corpus")
    assert len(read(tmp_path / "corpus")) == 3


def test_without_corrections_there_is_no_corpus(tmp_path: Path) -> None:
    with Index.open(tmp_path / "captioner.db", write=True) as index:
        index.store([description("dog.jpg", "A dog.")], "model")
        with pytest.raises(UsageError, match="no photo has a caption of yours"):
            corrections.export(index, tmp_path / "corpus")
        with pytest.raises(UsageError, match="no photo has a caption of yours"):
            corrections.archive(index)
