"""A decoder that looks at feature maps: trained, bundled, used, and trained further on CIDEr."""

from __future__ import annotations

import json
from pathlib import Path

import coloured_corpus
import numpy as np
import pytest

from captioner import Captioner, Description
from captioner.errors import CaptionerError
from captioner.library import Library
from captioner.model import bundle as bundles
from captioner.model import encoders, weights
from captioner.model.bundle import Bundle
from captioner.model.decoders import soft_attention
from captioner.model.options import DescribeOptions
from captioner.training.config import (
    DecoderConfig,
    EncoderConfig,
    HeadConfig,
    SelfCriticalConfig,
    TrainingConfig,
)
from captioner.training.corpora import read_corpus
from captioner.training.progress import Silent

pytestmark = pytest.mark.training


def captions(bundle: Path, data: Path, device: str, precision: str) -> list[str]:
    captioner = Captioner.load(
        bundle,
        device=device,
        precision=precision,
        min_confidence=0,  # type: ignore[arg-type]
    )
    results = captioner.caption(data / "Images")
    assert all(isinstance(result, Description) for result in results)
    return [str(result) for result in results]


def test_from_photos_to_a_bundle_trained_on_cider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from captioner.training.recipe import train
    from captioner.training.run import Run, SelfCriticalRun
    from captioner.training.selfcritical import train_self_critical
    from captioner.training.stages import decoders as stage

    small = soft_attention.Sizes(embedding=16, lstm=24, attention=16, dropout=0.1)
    monkeypatch.setattr(stage, "sizes_of", lambda kind, preset: small)
    encoders.register("toy_encoder")
    data = coloured_corpus.write(tmp_path / "data")
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
            decoders=DecoderConfig(kind="soft-attention", epochs=60, learning_rate=0.03),
        ),
        work=tmp_path / "work",
        cache=tmp_path / "features",
        progress=Silent(),
        sentences=("a red photo", "the photo is blue"),
    )
    out = tmp_path / "attentive"
    train(run, out, Bundle.open)
    bundle = Bundle.open(out)
    [entry] = bundle.manifest["decoders"]
    assert entry["kind"] == "soft-attention" and entry["attention"] == 16 and bundle.needs_grid
    assert list((tmp_path / "features").glob("grids-*.npy"))

    on_cpu = captions(out, data, "cpu", "float32")
    assert on_cpu == captions(out, data, "keras", "float32")
    for texts in (on_cpu, captions(out, data, "cpu", "int8")):
        assert coloured_corpus.right(texts) >= 20  # one in three by chance

    with Library.open(
        tmp_path / "index.db", write=True, options=DescribeOptions(out, "cpu")
    ) as library:
        assert library.index(data / "Images").described == coloured_corpus.PHOTOS
        with pytest.raises(CaptionerError, match="cannot caption from stored features"):
            library.index(data / "Images", recaption=True)
    with pytest.raises(CaptionerError, match="looks at the feature map"):
        weights(out)

    further = SelfCriticalRun(
        corpus=run.corpus,
        config=SelfCriticalConfig(bundle=bundle.model_id, epochs=1, samples=3, dropout=0.2),
        work=tmp_path / "further",
        cache=run.cache,
        progress=Silent(),
    )
    result = train_self_critical(further, tmp_path / "better", bundle)
    manifest = json.loads((result.bundle.folder / bundles.MANIFEST).read_text())
    assert manifest["decoders"][0]["dropout"] == pytest.approx(0.1)
    [epoch] = manifest["training"]["self-critical"]["decoder-1"]["history"]
    assert np.isfinite(epoch["loss"]) and epoch["reward"] > 0
