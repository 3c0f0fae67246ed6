"""VGG16 and ResNet50 with random weights: trained, bundled, and used on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import coloured_corpus
import numpy as np
import pytest

from captioner import Captioner, Description
from captioner.model import bundle as bundles
from captioner.model.bundle import Bundle
from captioner.model.decoders import init_inject, soft_attention
from captioner.training.config import DecoderConfig, EncoderConfig, HeadConfig, TrainingConfig
from captioner.training.corpora import read_corpus
from captioner.training.progress import Silent

pytestmark = pytest.mark.training

SIZES = {
    "init-inject": init_inject.Sizes(embedding=8, lstm=12, projection=8),
    "soft-attention": soft_attention.Sizes(embedding=8, lstm=12, attention=8),
}


@pytest.mark.parametrize(
    ("encoder", "decoder", "mixed", "features"),
    [("vgg16", "init-inject", (), 4096), ("resnet50", "soft-attention", ("base",), 2048)],
)
def test_from_photos_to_captions(
    encoder: str,
    decoder: str,
    mixed: tuple[str, ...],
    features: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from captioner.training.recipe import train
    from captioner.training.run import Run
    from captioner.training.stages import decoders as stage

    monkeypatch.setattr(stage, "sizes_of", lambda kind, preset: SIZES[kind])
    data = coloured_corpus.write(tmp_path / "data")
    run = Run(
        corpus=read_corpus(data),
        config=TrainingConfig(
            encoder=EncoderConfig(kind=encoder, source="random", size=32),
            heads=HeadConfig(epochs=1),
            decoders=DecoderConfig(kind=decoder, epochs=1, mixed_with=mixed),
        ),
        work=tmp_path / "work",
        cache=tmp_path / "features",
        progress=Silent(),
    )
    out = tmp_path / encoder
    train(run, out, Bundle.open)
    manifest = json.loads((out / bundles.MANIFEST).read_text())
    assert manifest["encoder"]["kind"] == encoder
    assert manifest["encoder"]["feature_size"] == features
    trained = [name for name in manifest["training"] if name.startswith("decoder-")]
    assert len(trained) == 1 + len(mixed)
    chosen = [one["kind"] for one in manifest["decoders"]]
    assert chosen in ([[decoder]] if not mixed else [[decoder], ["merge"], [decoder, "merge"]])

    found = {}
    for device, precision in (("cpu", "float32"), ("keras", "float32"), ("cpu", "int8")):
        captioner = Captioner.load(
            out,
            device=device,
            precision=precision,
            min_confidence=0,  # type: ignore[arg-type]
        )
        results = captioner.caption(sorted((data / "Images").iterdir())[:6])
        described = [one for one in results if isinstance(one, Description)]
        assert len(described) == 6 and all(one.captions for one in described)
        found[device, precision] = np.stack([one.feature for one in described]).astype(np.float32)
    ours, theirs = found["cpu", "float32"], found["keras", "float32"]
    assert ours.shape == (6, features)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ((ours * theirs).sum(axis=1) / norms).min() > 0.9999
