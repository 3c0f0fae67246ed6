"""`captioner train` from photos to a bundle that describes them, on eight tiny photos."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from processes import ROOT, run

pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(
        not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
    ),
]

CAPTIONS = {
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
    for name, caption in CAPTIONS.items():
        pixels = getattr(data, name)()
        pixels = pixels.astype("uint8") * 255 if pixels.dtype == bool else pixels
        photo = Image.fromarray(pixels).convert("RGB").resize((128, 128))
        photo.save(folder / "Images" / f"{name}.jpg")
        rows += [f"{name}.jpg,{caption}", f"{name}.jpg,There is {caption} ."] * 5
    (folder / "captions.txt").write_text("\n".join(rows) + "\n")
    names = [f"{name}.jpg\n" for name in CAPTIONS]
    (folder / "Flickr_8k.trainImages.txt").write_text("".join(names[:6]))
    (folder / "Flickr_8k.devImages.txt").write_text("".join(names[6:]))
    return folder


def test_train_fine_tune_resume_and_caption(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    options = ["--data", corpus, "--out", out, "--size", 96, "--epochs", 2, "--seed", 3]
    tuned = [*options, "--fine-tune", 1, "--fine-tune-epochs", 1]
    done = run("train", *tuned, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert "6 photos to train on, 2 to measure on" in done.stderr
    assert_nothing_but_sentences(done.stderr)
    assert done.stderr.splitlines()[-5:] == summary(out, corpus)
    manifest = json.loads((out / "bundle.json").read_text())
    record = manifest["training"]
    assert [data["split"] for data in record["data"]] == ["official lists"]
    assert record["options"]["seed"] == 3
    assert "--fine-tune 1" in record["command"]
    assert len(record["decoder-1"]["history"]) == 2
    work = tmp_path / "mine-training"
    assert {"encoder.png", "decoder-1.png"} <= {file.name for file in work.iterdir()}
    kept = json.loads((work / "run.json").read_text())
    assert (kept["state"], kept["seed"], kept["subcommand"]) == ("finished", 3, "train")
    assert f"data = {json.dumps(str(corpus))}\n" in (work / "config.toml").read_text()
    assert len((work / "decoder-1/curves.csv").read_text().splitlines()) == 3
    assert len(list((work / "decoder-1").glob("events.out.tfevents.*"))) == 1

    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    notes = out / "notes.txt"
    for words, text in (([], "--force"), (["--resume"], "--force"), (["--force"], "notes.txt")):
        if words == ["--force"]:
            notes.write_text("What I learnt about this model.")
        refused = run("train", *tuned, *words, home=tmp_path)
        assert refused.returncode == 2
        assert text in refused.stderr
    assert notes.read_text() == "What I learnt about this model."
    notes.unlink()
    assert {file: file.read_bytes() for file in before} == before

    other = run("train", *tuned, "--epochs", 3, "--resume", "--force", home=tmp_path)
    assert other.returncode == 1
    assert "started with other options: --epochs was 2, and is now 3." in other.stderr
    assert "captioner train --data" in other.stderr  # as it was begun
    assert {file: file.read_bytes() for file in before} == before

    again = run("train", *tuned, "--resume", "--force", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(json.loads((work / "run.json").read_text())["sessions"]) == 2
    assert not [file.name for file in tmp_path.iterdir() if file.name.endswith(".old")]
    assert json.loads((out / "bundle.json").read_text())["files"] == manifest["files"]

    captioned = run("caption", "--model", out, "--json", corpus / "Images", home=tmp_path)
    assert captioned.returncode == 0, captioned.stderr
    assert len(captioned.stdout.splitlines()) == len(CAPTIONS)


def test_train_on_extra_data_sentences_and_concepts(corpus: Path, tmp_path: Path) -> None:
    pictures = sorted((corpus / "Images").iterdir())
    more, samples = tmp_path / "more", tmp_path / "samples"
    (more / "Images").mkdir(parents=True)
    samples.mkdir()
    for number, picture in enumerate(pictures):
        (more / "Images" / f"m{number}.jpg").write_bytes(picture.read_bytes())
    said = "".join(f"m{number}.jpg,an unusual teapot\n" * 8 for number in range(len(pictures)))
    (more / "captions.txt").write_text("image,caption\n" + said)
    others = tmp_path / "others"
    shutil.copytree(more, others)
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("a cup of coffee\na man with a camera\n" * 20)
    wnids = ("n02123045_tabby", "n02690373_airliner", "n07920052_espresso")
    for picture, name in zip(pictures, wnids, strict=False):
        (samples / f"{name}.jpg").write_bytes(picture.read_bytes())
    teacher = random_weights(tmp_path / "teacher.weights.h5")
    out = tmp_path / "mine"
    done = run(
        "train", "--data", corpus, "--extra-data", more, "--extra-style", others,
        "--sentences", sentences, "--concepts", samples, "--teacher", teacher, "--out", out,
        "--size", 96, "--epochs", 1, "--encoder", teacher, "--decoders", 2, home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "bundle.json").read_text())
    record = manifest["training"]
    choice = record["chosen on dev"]
    cider = {name: max(table.values()) for name, table in choice["rerank"].items()}
    first, second, both = cider.values()
    assert list(cider) == ["decoder 1", "decoder 2", "decoder 1 and 2"]
    alone = [1] if first >= second else [2]
    assert choice["decoders"] == ([1, 2] if both > max(first, second) + 0.5 else alone)
    files = [decoder["file"] for decoder in manifest["decoders"]]
    assert files == ["decoder-1.safetensors", "decoder-2.safetensors"][: len(choice["decoders"])]
    assert set(files) == {file for file in manifest["files"] if file.startswith("decoder")}
    assert [data["name"] for data in record["data"]] == ["corpus0", "more", "others"]
    assert record["sentences without photos"] == 40
    assert record["language"]["history"]
    assert [c["name"] for c in json.loads((out / "concepts.json").read_text())["concepts"]] == [
        "tabby", "airliner", "espresso"
    ]  # fmt: skip
    lexicon = json.loads((out / "lexicon.json").read_text())
    assert lexicon["concepts"] == ["n02123045", "n02690373", "n07920052"]
    assert "teapot" in lexicon["words"]
    captioned = run("caption", "--model", out, "--json", pictures[0], home=tmp_path)
    assert captioned.returncode == 0, captioned.stderr


def test_decoders_are_trained_further_on_cider(corpus: Path, tmp_path: Path) -> None:
    first, better = tmp_path / "first", tmp_path / "better"
    teacher = random_weights(tmp_path / "teacher.weights.h5")
    done = run(
        "train", "--data", corpus, "--out", first, "--size", 96, "--epochs", 1,
        "--encoder", teacher, home=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    options = [
        "train-cider", first, "--data", corpus, "--out", better,
        "--epochs", 2, "--rate", 0.003, "--nearness", 0.5, "--samples", 3,
    ]  # fmt: skip
    done = run(*options, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_nothing_but_sentences(done.stderr)
    assert done.stderr.splitlines()[-5:] == summary(better, corpus)
    old, new = (json.loads((one / "bundle.json").read_text()) for one in (first, better))
    changed = {name for name in old["files"] if old["files"][name] != new["files"][name]}
    assert old["files"].keys() == new["files"].keys()
    record = new["training"].pop("self-critical")
    assert new["training"] == old["training"]
    assert changed == ({"decoder-1.safetensors"} if record["decoder-1"]["kept"] else set())
    assert len(record["decoder-1"]["history"]) == 2
    assert record["options"]["similarity_reward"] == 0.5  # --nearness is its earlier name
    assert all(old[part] == new[part] for part in ("input", "encoder", "search", "decoders"))

    again = run(*options, "--resume", "--force", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((better / "bundle.json").read_text())["files"] == new["files"]
    captioned = run("caption", "--model", better, corpus / "Images", home=tmp_path)
    assert captioned.returncode == 0, captioned.stderr


SENTENCE = re.compile(
    r"""Asking\ the\ teacher\ for\ .* | Choosing\ .*\ on\ the\ dev\ split\.
    | \d+\ photos\ to\ train\ on,\ .* | [Ff]inding\ the\ .* | Calibrating\ .*
    | (warm\ up|encoder|heads|language|decoder\ \d)(,\ epoch\ \d+\ of\ \d+|,\ before)?:\ .*
    | [ ]*[\w ,@-]+\ [▁-█]+\ \S+\ →\ \S+
    | decoder\ \d(\ and\ \d)*:\ CIDEr\ [\d.]+\ on\ dev
    | decoder\ \d\ keeps\ its\ weights:\ .*
    | \d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d\ [\d,]+\ of\ [\d,]+\ (step|view)s?,\ .*
    | (The\ bundle\ is|CIDEr\ on|Its\ captions|To\ caption|To\ measure)\ .*""",
    re.VERBOSE,
)


def assert_nothing_but_sentences(text: str) -> None:
    """What a training writes to stderr: nothing of TensorFlow, CUDA or NNCF, no dictionaries."""
    noise = [line for line in text.splitlines() if not SENTENCE.fullmatch(line)]
    assert not noise
    assert not re.search(r"[{}]|WARNING|tensorflow|absl|cuda", text)


def summary(out: Path, data: Path) -> list[object]:
    """The last lines on stderr."""
    return [
        f"The bundle is in {out}.",
        Matching(r"CIDEr on the dev split: [\d.]+\."),
        Matching(r"Its captions reach the confidence threshold for \d+ % of the dev photos\."),
        f"To caption photos with it: captioner caption --model {out} photo.jpg",
        f"To measure it: captioner evaluate --model {out} --data {data}",
    ]


class Matching:
    """Equal to any text that a pattern matches as a whole."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and bool(re.fullmatch(self.pattern, other))

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return self.pattern


def random_weights(file: Path) -> Path:
    """An untrained Xception, as a Keras weights file."""
    import keras

    keras.utils.set_random_seed(1)
    keras.applications.Xception(weights=None, include_top=False).save_weights(file)
    return file


def test_no_data_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPTIONER_DATA", raising=False)
    done = run("train", "--out", tmp_path / "mine", home=tmp_path)
    assert done.returncode == 2
    assert "jxie/flickr8k" in done.stderr
    assert "Traceback" not in done.stderr
