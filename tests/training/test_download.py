"""The hub's data set laid out for training; only the transfer itself is replaced, by a copy."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.errors import CaptionerError, UsageError
from captioner.training.corpora import read_corpus
from captioner.training.download import download

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
hub = pytest.importorskip("huggingface_hub")


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def part(file: Path, rows: list[tuple[bytes, str | None]], **other: list[str]) -> None:
    """A file as the hub has it: the photo as a struct of bytes and path, five captions."""
    columns = {
        "image": [{"bytes": data, "path": path} for data, path in rows],
        **{f"caption_{n}": [f'Dog {n} , "quoted"  .' for _ in rows] for n in range(5)},
        **other,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    remote = tmp_path / "remote"
    part(remote / "data/train-00000-of-00002-2f8f.parquet", [(jpeg(0), "a.jpg"), (jpeg(1), None)])
    part(remote / "data/train-00001-of-00002-2173.parquet", [(jpeg(2), "../../a.jpg")])
    part(remote / "data/validation-00000-of-00001-7025.parquet", [(jpeg(3), "dev/d.jpg")])
    part(remote / "data/test-00000-of-00001-42a2.parquet", [(jpeg(4), "t.jpg"), (jpeg(5), "")])
    (remote / "README.md").write_text("not asked for")
    return remote


@pytest.fixture
def transfers(remote: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def snapshot_download(
        repo_id: str, *, repo_type: str, allow_patterns: list[str], local_dir: Path
    ) -> str:
        asked.append(f"{repo_type}s/{repo_id}")
        for pattern in allow_patterns:
            for file in sorted(remote.glob(pattern)):
                target = local_dir / file.relative_to(remote)
                target.parent.mkdir(exist_ok=True)
                shutil.copy(file, target)
        return str(local_dir)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    return asked


def test_layout(tmp_path: Path, transfers: list[str]) -> None:
    done: list[str] = []
    folder = download(tmp_path / "flickr8k", progress=done.append)
    assert transfers == ["datasets/jxie/flickr8k"]
    assert {entry.name for entry in folder.iterdir()} == {
        "Images",
        "captions.txt",
        "Flickr_8k.trainImages.txt",
        "Flickr_8k.devImages.txt",
        "Flickr_8k.testImages.txt",
    }
    corpus = read_corpus(folder)
    assert corpus.how == "official lists"
    names = {split: [p.name for p in corpus.split(split)] for split in ("train", "dev", "test")}
    # A second "a.jpg" and photos without a name get names of their own.
    assert names == {
        "train": ["a.jpg", "train_00001.jpg", "train_00002.jpg"],
        "dev": ["d.jpg"],
        "test": ["t.jpg", "test_00005.jpg"],
    }
    assert corpus.photos[0].captions == tuple(f'Dog {n} , "quoted" .' for n in range(5))
    assert [(folder / "Images" / name).read_bytes() for name in done] == [jpeg(n) for n in range(6)]


def test_goes_on_where_it_was_interrupted(tmp_path: Path, transfers: list[str]) -> None:
    folder = tmp_path / "flickr8k"

    def stop(name: str) -> None:
        if name == "d.jpg":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(folder, progress=stop)
    assert not (folder / "captions.txt").exists()
    kept = (folder / "Images/a.jpg").stat().st_mtime_ns
    (folder / "Images/d.jpg").write_bytes(b"torn")
    download(folder)
    assert (folder / "Images/a.jpg").stat().st_mtime_ns == kept
    assert (folder / "Images/d.jpg").read_bytes() == jpeg(3)
    assert len(read_corpus(folder).photos) == 6
    assert len(transfers) == 2
    download(folder)
    assert len(transfers) == 2


@pytest.mark.usefixtures("transfers")
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(jpeg(0))
    with pytest.raises(UsageError, match="not empty"):
        download(tmp_path)


def test_what_is_wrong_is_said(
    tmp_path: Path, remote: Path, transfers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    part(
        remote / "data/validation-00000-of-00001-7025.parquet", [(jpeg(3), "d.jpg")], caption_4=[""]
    )
    assert len(read_corpus(download(tmp_path / "four")).split("dev")[0].captions) == 4
    (remote / "data/test-00000-of-00001-42a2.parquet").unlink()
    with pytest.raises(CaptionerError, match="no parquet files for test"):
        download(tmp_path / "without")
    pq.write_table(pa.table({"image": ["x"]}), remote / "data/test-00000-of-00001-42a2.parquet")
    with pytest.raises(CaptionerError, match="has no column caption_0"):
        download(tmp_path / "other")

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("Name or service not known\nlong explanation")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(CaptionerError, match=r"not known\. Check the network"):
        download(tmp_path / "offline")
    assert transfers
