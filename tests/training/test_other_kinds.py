"""An encoder and a decoder from outside the package: trained, bundled, and used on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import bigram
import coloured_corpus
import pytest
import toy_encoder

from captioner import Captioner, Description
from captioner.model import decoders, encoders
from captioner.model.bundle import Bundle
from captioner.training.config import DecoderConfig, EncoderConfig, HeadConfig, TrainingConfig
from captioner.training.corpora import read_corpus
from captioner.training.progress import Silent

pytestmark = pytest.mark.training


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coloured_corpus.write(tmp_path / "data")


def test_thirty_photos_with_a_toy_encoder_and_a_toy_decoder(data: Path, tmp_path: Path) -> None:
    from captioner.training.recipe import train
    from captioner.training.run import Run

    encoders.register("toy_encoder")
    decoders.register("bigram")
    run = Run(
        corpus=read_corpus(data),
        config=TrainingConfig(
            encoder=EncoderConfig(
                kind="toy",
                source="random",
                size=64,
                fine_tune=2,
                fine_tune_epochs=20,
                fine_tune_rate=0.01,
            ),
            heads=HeadConfig(epochs=4),
            decoders=DecoderConfig(kind="bigram", epochs=60, learning_rate=0.02),
        ),
        work=tmp_path / "work",
        cache=tmp_path / "features",
        progress=Silent(),
        command="captioner train",
    )
    out = tmp_path / "toy"
    train(run, out, Bundle.open)

    manifest = json.loads((out / "bundle.json").read_text())
    assert manifest["encoder"]["kind"] == toy_encoder.name
    assert [decoder["kind"] for decoder in manifest["decoders"]] == [bigram.kind]

    texts = {}
    for device, precision in (("cpu", "float32"), ("keras", "float32"), ("cpu", "int8")):
        captioner = Captioner.load(out, device=device, precision=precision, min_confidence=0)
        results = captioner.caption(data / "Images")
        assert len(results) == coloured_corpus.PHOTOS
        assert all(isinstance(result, Description) for result in results)
        texts[device, precision] = [str(result) for result in results]
    assert texts["cpu", "float32"] == texts["keras", "float32"]
    for captions in texts.values():
        assert coloured_corpus.right(captions) >= 20  # one in three by chance
