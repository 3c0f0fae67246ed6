"""Training runs: which data they learn from, and which earlier run they may resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.errors import CaptionerError, UsageError
from captioner.training.config import DecoderConfig, TrainingConfig
from captioner.training.corpora import Corpus, Example, Split
from captioner.training.progress import Silent

pytest.importorskip("openvino")

from captioner.training.run import Run


def corpus(name: str, **photos: int) -> Corpus:
    """A corpus with so many photos in each split."""
    splits: dict[str, Split] = {"train": "train", "dev": "dev", "test": "test"}
    examples = [
        Example(Path(f"{name}-{split}{n}.jpg"), ("a dog",), splits[split])
        for split, count in photos.items()
        for n in range(count)
    ]
    return Corpus(name, tuple(examples), "official lists")


@pytest.fixture
def begun(tmp_path: Path) -> Run:
    run = Run(
        corpus("first", train=2, dev=2),
        TrainingConfig(),
        tmp_path / "work",
        tmp_path,
        Silent(),
        command="captioner train --data first",
    )
    run.begin()
    return run


def test_extra_data_are_learnt_from_with_their_sample_weight_but_not_measured_on(
    begun: Run,
) -> None:
    run = replace(
        begun,
        config=TrainingConfig(extra_weight=2),
        extra_data=(corpus("extra", train=1, dev=1, test=1),),
        extra_style=(corpus("style", train=1),),
    )
    names = [photo.name for photo in run.train]
    assert names == [
        "first-train0.jpg", "first-train1.jpg", "extra-train0.jpg", "extra-test0.jpg",
        "style-train0.jpg",
    ]  # fmt: skip
    np.testing.assert_array_equal(run.sample_weights, [1, 1, 2, 2, 2])
    own = replace(corpus("extra", train=1, dev=1, test=1), weight=0.5)
    weighted = replace(run, extra_data=(own,)).sample_weights
    np.testing.assert_array_equal(weighted, [1, 1, 0.5, 0.5, 2])
    assert [photo.name for photo in run.dev] == ["first-dev0.jpg", "first-dev1.jpg"]
    assert [photo.name for photo in run.extra_dev] == ["extra-dev0.jpg"]
    assert run.other_style == {Path("style-train0.jpg")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": TrainingConfig(seed=2)}, "--seed was 1, and is now 2."),
        (
            {"config": TrainingConfig(decoders=DecoderConfig(epochs=4, learning_rate=1e-4))},
            "--epochs was 8, and is now 4; --rate was 0.002, and is now 0.0001.",
        ),
        (
            {"corpus": corpus("first", train=3, dev=2)},
            "--data was first (4 photos), and is now first (5 photos).",
        ),
        (
            {"corpus": corpus("other", train=2, dev=2)},
            "--data was first (4 photos), and is now other (4 photos).",
        ),
        (
            {"extra_data": (corpus("more", train=1),)},
            "--extra-data was not given, and is now more (1 photos).",
        ),
    ],
)
def test_a_run_with_other_options_is_not_resumed(
    begun: Run, changes: dict[str, object], reason: str
) -> None:
    before = (begun.work / "options.json").read_bytes()
    with pytest.raises(CaptionerError) as error:
        replace(begun, resume=True, **changes).begin()  # type: ignore[arg-type]
    assert error.value.reason == f"the run in {begun.work} was started with other options: {reason}"
    assert "captioner train --data first" in error.value.remedy
    assert (begun.work / "options.json").read_bytes() == before


def test_the_same_run_is_resumed(begun: Run) -> None:
    replace(begun, resume=True).begin()
    with pytest.raises(UsageError, match="--resume"):
        begun.begin()


def test_a_run_of_an_earlier_version_is_replaced_but_not_resumed(begun: Run) -> None:
    earlier = '{"encoder": "", "preset": "", "decoders": 1, "decoder_epochs": 1, "seed": 1}'
    (begun.work / "options.json").write_text(earlier)
    with pytest.raises(CaptionerError, match="earlier version"):
        replace(begun, resume=True).begin()
    replace(begun, force=True).begin()


def test_a_run_needs_photos_to_train_on_and_to_measure_on(begun: Run) -> None:
    with pytest.raises(CaptionerError, match="0 to measure on"):
        replace(begun, corpus=corpus("few", train=2), force=True).begin()
