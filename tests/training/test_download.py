"""Data sets of the hub laid out for training, from copies and from a stand-in of the hub."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import hub_server
import numpy as np
import pytest
from PIL import Image
from processes import ROOT

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


def flickr30k(remote: Path) -> None:
    """The hub's files of Flickr30k: an archive of photos, and a table with lists as JSON."""
    remote.mkdir()
    with zipfile.ZipFile(remote / "flickr30k-images.zip", "w") as archive:
        for number, name in enumerate(("1.jpg", "2.jpg", "3.jpg", "../../4.jpg")):
            archive.writestr(f"flickr30k-images/{name}", jpeg(number))
        archive.writestr("__MACOSX/flickr30k-images/._1.jpg", b"a Mac's own")
    with (remote / "flickr_annotations_30k.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["raw", "sentids", "split", "filename", "img_id"])
        for number, split in enumerate(("train", "val", "test", "train"), 1):
            raw = json.dumps(['A "big" dog , here .', "Dogs ."])
            writer.writerow([raw, "[0, 1]", split, f"{number}.jpg", number])


def coco(remote: Path) -> None:
    """The hub's files of COCO: one row for each caption, all with the photo."""
    for number, split in enumerate(("train", "validation", "test")):
        file = remote / f"data/{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        name = f"COCO_val2014_{number}.jpg"
        image = {"bytes": jpeg(number), "path": name}
        rows = [
            {"image": image, "filename": name, "cocoid": number, "caption": f"A dog {n}\n"}
            for n in range(2)
        ]
        pq.write_table(pa.Table.from_pylist(rows), file)


DOWNLOAD = """
import sys
from pathlib import Path
import captioner.training
from captioner.errors import CaptionerError
from captioner.training.download import download
from captioner.training.hub import CORPORA
try:
    download(Path(sys.argv[1]), CORPORA[sys.argv[2]], progress=print)
except CaptionerError as error:
    sys.exit(str(error))
"""


def fetched(folder: Path, corpus: str, address: str, home: Path) -> subprocess.CompletedProcess:
    """Download from a stand-in of the hub, in a process of its own as `captioner train` does."""
    # Where captioner was imported, this process is offline, and what it starts would be, too.
    own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", DOWNLOAD, str(folder), corpus],
        env={
            **own, "HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT),
            "CAPTIONER_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "repository", "make"),
    [
        ("flickr30k", "nlphuji/flickr30k", flickr30k),
        ("coco", "jxie/coco_captions", coco),
    ],
)
def test_downloads_from_a_hub_over_http(
    tmp_path: Path, name: str, repository: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "remote")
    (tmp_path / "remote/README.md").write_text("not asked for")
    folder = tmp_path / name
    with hub_server.serving(tmp_path / "remote", repository) as (address, asked):
        done = fetched(folder, name, address, tmp_path / "home")
        assert done.returncode == 0, done.stderr
        assert not [path for path in asked if path.endswith("README.md")]
        before = len(asked)
        assert fetched(folder, name, address, tmp_path / "home").returncode == 0
        assert len(asked) == before
        refused = fetched(folder, "flickr8k", address, tmp_path / "home")
        assert "is not empty" in refused.stderr
    corpus = read_corpus(folder)
    splits = {photo.name: photo.split for photo in corpus.photos}
    if name == "flickr30k":
        assert splits == {"1.jpg": "train", "2.jpg": "dev", "3.jpg": "test", "4.jpg": "train"}
        assert corpus.photos[0].captions == ('A "big" dog , here .', "Dogs .")
        assert (folder / "flickr30k-images/4.jpg").read_bytes() == jpeg(3)
    else:
        assert list(splits.values()) == ["train", "dev", "test"]
        assert corpus.photos[0].captions == ("A dog 0", "A dog 1")
    assert {path.name for path in tmp_path.iterdir()} <= {"remote", name, "home"}
    assert not (folder / ".download").exists()
    assert not corpus.warnings


@pytest.mark.process
def test_a_hub_that_breaks_off_is_asked_again(tmp_path: Path) -> None:
    coco(tmp_path / "remote")
    missing = tmp_path / "remote/data/test-00000-of-00001.parquet"
    kept = missing.rename(tmp_path / "kept")
    with hub_server.serving(tmp_path / "remote", "jxie/coco_captions") as (address, asked):
        done = fetched(tmp_path / "coco", "coco", address, tmp_path / "home")
        assert "has no parquet files for test" in done.stderr
        kept.rename(missing)
    done = fetched(tmp_path / "coco", "coco", address, tmp_path / "home")
    assert done.returncode == 1
    assert "jxie/coco_captions" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "coco/captions.jsonl").exists()
    assert asked
