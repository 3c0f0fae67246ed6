"""`captioner train` and `captioner train-cider`: combinations of options, earlier names, bars."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from captioner.cli import train_cider, training
from captioner.cli.app import app
from captioner.training.config import (
    DecoderConfig,
    EncoderConfig,
    SelfCriticalConfig,
    TrainingConfig,
)


@pytest.fixture(autouse=True)
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A corpus, and no way to train on it: all is refused before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "captioner.training.run", None)
    Path("data/Images").mkdir(parents=True)
    Path("data/Images/a.jpg").write_bytes(b"a photo")
    Path("data/captions.txt").write_text("image,caption\na.jpg,a dog\n")
    yield
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("train --fine-tune-rate 1e-4", "--fine-tune-rate requires --fine-tune N"),
        ("train --fine-tune 0 --fine-tune-epochs 2", "--fine-tune-epochs requires --fine-tune N"),
        ("train --teacher imagenet", "--teacher requires --concepts"),
        ("train --extra-weight 2", "--extra-weight requires --extra-data or --extra-style"),
        ("train --extra-data data:0", "the weight of data is 0"),
        ("train --download-corpus coco", "--download-corpus requires --download FOLDER"),
        ("train --columns photo", "does not name a column"),
        ("train --wider-times 2", "--extra-weight requires"),
        ("train --download elsewhere", "--data and --download are mutually exclusive"),
        ("train --samples 3", "--samples is an option of `captioner train-cider`"),
        ("train --from weights/base", "--from is an option of .* --encoder BUNDLE"),
        ("train --sharpness=2", "--sharpness is an option of"),
        (
            "train --encoder imagenet --encoder-weights data/captions.txt",
            "--encoder and --encoder-weights are mutually exclusive",
        ),
        ("train --encoder bundled --encoder-kind vgg16", "--encoder-kind vgg16: the encoder of a"),
        ("train --encoder data --encoder-kind vgg16", "--encoder-kind vgg16: the encoder of a"),
        ("train --encoder-kind lenet", "'lenet' is not one of"),
        ("train --preset transformer", "'transformer' is not one of"),
        ("train --mix transformer", "--mix transformer: there is no such preset"),
        ("train --scheduled-sampling 2", "less than or equal to 1"),
        ("train-cider --extra-weight 2", "--extra-weight requires --extra-data or --extra-style"),
        ("train-cider data --out data", "both refer to data"),
        ("train-cider --decoders 2", "No such option: --decoders"),
    ],
)
def test_refused(words: str, reason: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "--data", "data"])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert re.search(reason, " ".join(result.stderr.split())), result.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "--self-critical --from my-model --data data --out better",
            "captioner train-cider my-model --data data --out better",
        ),
        (
            "--out 'a b' --from='my model' --self-critical --sharpness 3 --metric-share=0.5 "
            "--nearness 1 --wider more --aside other --wider-times 2",
            "captioner train-cider 'my model' --out 'a b' --inverse-temperature 3 --rl-weight=0.5 "
            "--similarity-reward 1 --extra-data more --extra-style other --extra-weight 2",
        ),
        ("--self-critical", "captioner train-cider"),
    ],
)
def test_self_critical_names_its_command(old: str, new: str) -> None:
    result = CliRunner().invoke(app, ["train", *shlex.split(old)])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert f"Run: {new}" in " ".join(result.stderr.split())


def test_earlier_names_of_options_are_understood_and_not_shown() -> None:
    for command in ("train", "train-cider"):
        text = CliRunner().invoke(app, [command, "--help"]).output
        assert not set(re.findall(r"--[\w-]+", text)) & set(train_cider.COMMAND.earlier)
    for old, new in train_cider.COMMAND.earlier.items():
        assert training.renamed(f"{old}=1", train_cider.COMMAND.earlier) == f"{new}=1"
        assert training.renamed(old, train_cider.COMMAND.earlier) == new
    assert training.renamed("wider", train_cider.COMMAND.earlier) == "wider"


@pytest.mark.parametrize(
    ("words", "source", "kind"),
    [
        ((None, None, None, "xception"), "bundled", "xception"),
        ((None, None, None, "vgg16"), "imagenet", "vgg16"),
        ((None, "xception", None, "vgg16"), "bundled", "xception"),
        ((None, "resnet50", None, "vgg16"), "imagenet", "resnet50"),
        ((None, None, Path("w.h5"), "vgg16"), "w.h5", "vgg16"),
        ((None, "resnet50", Path("w.h5"), "xception"), "w.h5", "resnet50"),
        (("imagenet", None, None, "vgg16"), "imagenet", "vgg16"),
        (("bundled", None, None, "vgg16"), "bundled", "xception"),
        (("w.h5", None, None, "resnet50"), "w.h5", "resnet50"),
    ],
)
def test_where_the_encoder_comes_from(words: Any, source: str, kind: str) -> None:
    from captioner.cli.train import _encoder

    assert _encoder(*words) == (source, kind)


def test_help_shows_the_defaults_of_the_configuration() -> None:
    for command, config in (
        ("train", TrainingConfig()),
        ("train", EncoderConfig()),
        ("train", DecoderConfig()),
        ("train-cider", SelfCriticalConfig()),
    ):
        text = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
        for name in ("fine_tune_rate", "fine_tune_epochs", "epochs", "learning_rate", "samples"):
            if hasattr(config, name):
                value = getattr(config, name)
                assert re.search(rf"\[default: ({value}|{value:g})[\];]", text), (command, name)


def test_progress_says_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    from captioner.cli import progress

    bar = progress.Progress("step")
    bar.planned(100, done=40)
    assert bar._parts() == ["40 of 100 steps"]
    bar._pace._times.extend(range(11))
    bar._number = 50
    words = bar._parts()
    assert words[0] == "50 of 100 steps"
    assert words[1] == "1.0 steps/s"
    assert words[2].endswith(" left")
    with training.TerminalProgress().stage("heads", 2) as advance:
        advance("heads, epoch 1 of 1")
        training.TerminalProgress().note("a line that stays")
    assert capsys.readouterr().err == "a line that stays\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch = 3", "epoch is no option of captioner train"),
        ("epochs = 'many'", "Invalid value for '--epochs'"),
        ("epochs = ", "cannot be read"),
        ("extra-weight = 2", "--extra-weight requires"),
        ("data = 'elsewhere'", "elsewhere: it does not exist"),
    ],
)
def test_options_in_a_file(text: str, reason: str) -> None:
    Path("data/mine.toml").write_text(text)
    result = CliRunner().invoke(app, ["train", "--config", "data/mine.toml"])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert reason in " ".join(result.stderr.split())
    # The command line goes before the file.
    result = CliRunner().invoke(app, ["train", "--config", "data/mine.toml", "--data", "nowhere"])
    if text.startswith("data"):
        assert "nowhere: it does not exist" in " ".join(result.stderr.split())


def test_extra_data_may_have_a_weight(tmp_path: Path) -> None:
    assert training.weighted(Path("more:2")) == (Path("more"), 2)
    assert training.weighted(Path("a:b/more:0.5")) == (Path("a:b/more"), 0.5)
    for plain in ("more", "more:", "more:x", "more:-1", "c:/2"):
        assert training.weighted(Path(plain)) == (Path(plain), None)
    named_so = tmp_path / "more:2"
    named_so.mkdir()
    assert training.weighted(named_so) == (named_so, None)
    named_so.rmdir()
    for name in ("data", "more"):
        (tmp_path / name / "Images").mkdir(parents=True, exist_ok=True)
        for photo in ("a", "b", "c"):
            (tmp_path / name / f"Images/{photo}.jpg").write_text(f"{name} {photo}")
        (tmp_path / name / "captions.txt").write_text("a.jpg,a dog\nb.jpg,a cat\nc.jpg,a bird\n")
    data = training.read_data(tmp_path / "data", [tmp_path / "more:2"], [tmp_path / "more"])
    assert [corpus.weight for corpus in data.all] == [None, 2, None]
    assert [corpus.name for corpus in data.all] == ["data", "more", "more"]
    shutil.rmtree(tmp_path / "more")
    for name in ("Images/b.jpg", "Images/c.jpg"):
        (tmp_path / "data" / name).unlink()
