"""`captioner train` from photos to a bundle that describes them, on eight tiny photos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from processes import ROOT, run

pytestmark = pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)

SAID = {
    "astronaut": "a smiling woman in an orange suit",
    "chelsea": "a brown cat looking at the camera",
    "coffee": "a cup of coffee on a table",
    "rocket": "a white rocket on a launch pad",
    "camera": "a man with a camera on the grass",
    "horse": "a black horse on white ground",
    "clock": "a round clock on a wall",
    "moon": "grey ground on the moon",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pytest.importorskip("skimage.data", reason="scikit-image has the pictures")
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "Images").mkdir()
    rows = ["image,caption"]
    for name, caption in SAID.items():
        pixels = getattr(data, name)()
        pixels = pixels.astype("uint8") * 255 if pixels.dtype == bool else pixels
        photo = Image.fromarray(pixels).convert("RGB").resize((128, 128))
        photo.save(folder / "Images" / f"{name}.jpg")
        rows += [f"{name}.jpg,{caption}", f"{name}.jpg,There is {caption} ."] * 5
    (folder / "captions.txt").write_text("\n".join(rows) + "\n")
    names = [f"{name}.jpg\n" for name in SAID]
    (folder / "Flickr_8k.trainImages.txt").write_text("".join(names[:6]))
    (folder / "Flickr_8k.devImages.txt").write_text("".join(names[6:]))
    return folder


def test_train_fine_tune_resume_and_use(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    options = ["--data", corpus, "--out", out, "--size", 96, "--epochs", 2, "--seed", 3]
    tuned = [*options, "--fine-tune", 1, "--fine-tune-epochs", 1]
    done = run("train", *tuned, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert "6 photos to train on, 2 to measure on" in done.stderr
    manifest = json.loads((out / "bundle.json").read_text())
    record = manifest["training"]
    assert record["data"]["split"] == "official lists"
    assert record["options"]["seed"] == 3
    assert "--fine-tune 1" in record["command"]
    assert len(record["decoder-1"]["history"]) == 2
    work = tmp_path / "mine-training"
    assert {"encoder.png", "decoder-1.png"} <= {file.name for file in work.iterdir()}

    again = run("train", *tuned, "--resume", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((out / "bundle.json").read_text())["files"] == manifest["files"]

    spoken = run("caption", "--model", out, "--json", corpus / "Images", home=tmp_path)
    assert spoken.returncode == 0, spoken.stderr
    assert len(spoken.stdout.splitlines()) == len(SAID)


def test_no_data_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPTIONER_DATA", raising=False)
    done = run("train", "--out", tmp_path / "mine", home=tmp_path)
    assert done.returncode == 2
    assert "jxie/flickr8k" in done.stderr
    assert "Traceback" not in done.stderr
