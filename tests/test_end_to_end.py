"""The bundle that ships, on real photos, through the commands as processes of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import HEAVY, ROOT, loaded_by, run, run_main

from captioner.photos.read import read
from captioner.photos.walk import walk
from captioner.types import Photo

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
    ),
]

PEOPLE = {"woman", "girl", "man", "person", "people", "lady", "child", "boy"}

# Photos of Flickr8k's dev split: no model that ships has learned from them.
OBVIOUS = {
    "1731546544_9fbf14617b.jpg": {"dog"},
    "1745110280_0cbff5e273.jpg": {"dog"},
    "2057160636_6e9cf3b5f0.jpg": {"water", "boat", "kayak", "canoe", "river", "lake"},
    "2059616165_b7c99c1009.jpg": {"dog"},
    "2081679622_6f1442367d.jpg": {"boy", "girl", "child"},
    "2090997177_76d482b158.jpg": {"dog"},
    "2095444126_201ff9f222.jpg": {"dog"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that the engine's compiled graph is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of scikit-image's pictures as photos."""
    data = pytest.importorskip("skimage.data", reason="scikit-image has the pictures")
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.jpg", quality=90)
    return folder


def words(sentence: str) -> set[str]:
    return set(re.findall("[a-z]+", sentence.lower()))


def captions(home: Path, *arguments: object) -> dict[str, str]:
    done = run("caption", "--json", "--min-confidence", 0, *arguments, home=home)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {record["path"]: record["caption"] for record in records}


def test_the_first_command(home: Path) -> None:
    done = run_main("-i", ROOT / "example.jpg", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"[A-Z][a-z' -]+\.\n", done.stdout)
    assert words(done.stdout) & PEOPLE


def test_what_is_not_trusted_gives_way_to_keywords(home: Path, pictures: Path) -> None:
    done = run("caption", "--json", "--min-confidence", 1, pictures / "chelsea.jpg", home=home)
    record = json.loads(done.stdout)
    assert (record["kind"], record["confidence"]) == ("keywords", None)
    assert record["caption"] == ", ".join(keyword["word"] for keyword in record["keywords"])
    assert "cat" in record["caption"]


def test_obvious_words(home: Path, photos_folder: Path) -> None:
    folder = photos_folder / "flickr_fullsize"
    found = captions(home, *(folder / name for name in OBVIOUS))
    wrong = {
        name: found[str(folder / name)]
        for name, obvious in OBVIOUS.items()
        if not words(found[str(folder / name)]) & obvious
    }
    assert not wrong


def test_index_search_similar(pictures: Path, tmp_path: Path) -> None:
    first = run("index", pictures, home=tmp_path)
    assert (first.returncode, first.stdout) == (0, "")
    assert "4 photos indexed" in first.stderr

    said = captions(tmp_path, pictures)
    for path, sentence in said.items():
        # Not every sentence is to be trusted, and those that are not are not in the index.
        best = run(
            "search", sentence, "--json", "--min-score", 0, home=tmp_path
        ).stdout.splitlines()[0]
        assert json.loads(best)["path"] == path

    smaller = tmp_path / "smaller.png"
    Image.open(pictures / "coffee.jpg").resize((400, 266)).save(smaller)
    nearest = run("similar", smaller, "-n", "1", home=tmp_path).stdout
    assert nearest.startswith(f"{pictures / 'coffee.jpg'}\t")
    others = run("similar", pictures / "coffee.jpg", "--json", home=tmp_path).stdout
    assert len(others.splitlines()) == 3

    facts = json.loads(run("info", "--json", home=tmp_path).stdout)
    assert facts["database"]["photos"] == facts["database"]["described"] == 4
    assert facts["model"]["training"]
    assert "error" not in facts["engine"]

    assert not loaded_by("search", "woman", home=tmp_path) & HEAVY
    again = loaded_by("index", pictures, home=tmp_path)
    assert not again & HEAVY


EXIF_ORIENTATION = 0x0112
# How upright pixels are to be turned so that the orientation turns them back.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_one_photo_stored_eight_ways(
    home: Path, pictures: Path, tmp_path: Path, suffix: str
) -> None:
    upright = Image.open(pictures / "chelsea.jpg").convert("RGB").crop((0, 0, 451, 290))
    for orientation, turn in STORED.items():
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        stored = upright if turn is None else upright.transpose(turn)
        lossless = {"lossless": True} if suffix == "webp" else {}
        stored.save(tmp_path / f"{orientation}.{suffix}", exif=exif, **lossless)
    found = captions(home, tmp_path)
    assert len(found) == 8
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("kind", ["landscape", "portrait"])
def test_the_model_sees_orientation_samples_alike(photos_folder: Path, kind: str) -> None:
    # Each has its orientation's number painted on, so that their captions may differ; what the
    # model is shown is the same but for that. Turned wrongly, it differs ten times as much.
    found = walk(sorted((photos_folder / "orientation").glob(f"{kind}_*.jpg")))
    squares = np.stack([read(photo, 224).rgb for photo in found if isinstance(photo, Photo)])
    assert len(squares) == 8
    assert np.abs(squares - squares[0].astype(np.float32)).mean(axis=(1, 2, 3)).max() < 5


def test_both_engines_say_the_same(home: Path, pictures: Path) -> None:
    assert captions(home, pictures, "--precision", "float32") == captions(
        home, pictures, "--device", "keras"
    )
