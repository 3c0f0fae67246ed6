"""The graph of a bundle's encoder: found in the cache by the manifest alone, as long as it fits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.model import bundle as bundles
from captioner.model import engines
from captioner.model.bundle import ARCHITECTURE, ENCODER, Bundle
from captioner.model.encoders import Architecture, Layer, StoredEncoder, TrainedEncoder, xception
from captioner.model.engines import CPU_BATCH, openvino, start_engine, translate
from captioner.model.engines.openvino import OpenVINOEngine
from captioner.model.options import FEW_PHOTOS
from captioner.types import FloatArray, PixelArray

SIZE = 8
CONVOLUTION = {
    "filters": 2048, "strides": [4, 4], "dilation_rate": [1, 1], "groups": 1, "padding": "valid",
    "use_bias": False, "activation": "relu",
}  # fmt: skip
LAYERS = (
    Layer("photo", "InputLayer", {"dtype": "uint8"}, ()),
    Layer("scale", "Rescaling", {"scale": 1 / 255, "offset": 0.0}, ("photo",)),
    Layer("conv", "Conv2D", CONVOLUTION, ("scale",)),
    Layer("pool", "GlobalAveragePooling2D", {"keepdims": False}, ("conv",)),
)
"""A network that takes milliseconds, with as many features as Xception."""


def write(folder: Path, *, seed: int = 0, layers: tuple[Layer, ...] = LAYERS) -> Bundle:
    kernel = np.random.default_rng(seed).normal(size=(4, 4, 3, 2048)).astype(np.float32)
    encoder = TrainedEncoder(
        xception, SIZE, {"conv.kernel": kernel}, Architecture(layers, "pool"), {"kind": "xception"}
    )
    manifest = {"describe": {}, "input": {"size": SIZE}, "encoder": dict(encoder.manifest)}
    return bundles.write(
        folder, manifest, arrays={ENCODER: encoder.weights}, texts=encoder.texts, force=True
    )


def photos(count: int) -> PixelArray:
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def features(bundle: Bundle, cache: Path | None = None, **options: Any) -> FloatArray:
    chosen: Mapping[str, Any] = {"precision": "float32", "batch_size": 4, **options}
    engine = OpenVINOEngine(StoredEncoder(bundle, int8=False), cache=cache, **chosen)
    pixels = photos(6)
    batches = np.split(pixels, range(engine.batch_size, len(pixels), engine.batch_size))
    return np.concatenate([each.pooled for each in engine.encode(batches)])


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("read or translated")


def test_a_second_start_neither_reads_nor_translates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write(tmp_path / "bundle")
    first = features(bundle, tmp_path)
    monkeypatch.setattr(translate, "translate", refuse)
    monkeypatch.setattr(Bundle, "arrays", refuse)
    np.testing.assert_array_equal(features(bundle, tmp_path), first)
    for changes in ({"batch_size": 1}, {"few": True}, {"precision": "int8"}):
        with pytest.raises(AssertionError, match="read or translated"):
            features(bundle, tmp_path, **changes)


def test_without_a_cache_each_start_translates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write(tmp_path / "bundle")
    features(bundle)
    monkeypatch.setattr(translate, "translate", refuse)
    with pytest.raises(AssertionError, match="translated"):
        features(bundle)


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_the_batch_size_changes_rounding_alone(tmp_path: Path, batch_size: int) -> None:
    bundle = write(tmp_path / "bundle")
    expected = features(bundle, tmp_path)
    assert expected.std(axis=0).mean() > 0.01
    for few in (False, True):
        found = features(bundle, tmp_path, batch_size=batch_size, few=few)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_other_weights_or_another_architecture_are_another_graph(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle")
    first = features(bundle, tmp_path)
    assert not np.allclose(features(write(tmp_path / "bundle", seed=1), tmp_path), first)
    linear = replace(LAYERS[2], config={**CONVOLUTION, "activation": "linear"})
    other = write(tmp_path / "bundle", layers=(*LAYERS[:2], linear, LAYERS[3]))
    assert other.manifest["files"][ENCODER] == bundle.manifest["files"][ENCODER]
    assert other.manifest["files"][ARCHITECTURE] != bundle.manifest["files"][ARCHITECTURE]
    assert features(other, tmp_path).min() < 0 <= first.min()


def test_a_changed_translator_makes_its_own_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write(tmp_path / "bundle")
    features(bundle, tmp_path)
    monkeypatch.setattr(openvino, "_translator_digest", lambda: "another")
    monkeypatch.setattr(translate, "translate", refuse)
    with pytest.raises(AssertionError, match="translated"):
        features(bundle, tmp_path)


def test_the_translators_digest_is_of_its_source() -> None:
    assert openvino._translator_digest() == openvino._translator_digest()
    one, two = ((name,) for name in openvino._TRANSLATOR)
    digests = set()
    for names in (one, two, (*one, *two)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(openvino, "_TRANSLATOR", names)
            digests.add(openvino._translator_digest())
    assert len(digests) == 3


def test_damaged_weights_are_reported_when_they_are_read(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle")
    expected = features(bundle, tmp_path)
    file = bundle.folder / ENCODER
    content = bytearray(file.read_bytes())
    content[-9] ^= 4
    file.write_bytes(content)
    np.testing.assert_array_equal(features(bundle, tmp_path), expected)
    for graph in tmp_path.glob("*.graph"):
        graph.unlink()
    with pytest.raises(CaptionerError, match="does not match its checksum"):
        features(bundle, tmp_path)


def test_an_unknown_encoder_is_reported_with_a_cache(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle")
    other = replace(bundle, manifest={**bundle.manifest, "encoder": {"kind": "nonesuch"}})
    with pytest.raises(CaptionerError, match="names the encoder nonesuch"):
        features(other, tmp_path)


def test_few_photos_are_encoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    bundle = write(tmp_path / "bundle")

    def batch_size(photos: int | None, chosen: int | None = None) -> int:
        return start_engine(bundle, "cpu", "float32", chosen, photos=photos).batch_size

    sizes = [batch_size(count) for count in (1, FEW_PHOTOS, FEW_PHOTOS + 1, None)]
    assert sizes == [1, 1, CPU_BATCH, CPU_BATCH]
    assert batch_size(1, chosen=3) == 3


def test_a_gpu_is_not_started_for_few_photos_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path / "home"))
    bundle = write(tmp_path / "bundle")
    gpu: Any = object()
    monkeypatch.setattr(engines, "_gpu_likely", lambda: True)
    monkeypatch.setattr(engines, "_gpu_engine", lambda *_, **__: gpu)

    def on_gpu(device: str, photos: int | None) -> bool:
        return start_engine(bundle, device, "float32", None, photos=photos) is gpu

    assert [on_gpu("auto", count) for count in (1, FEW_PHOTOS, FEW_PHOTOS + 1, None)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert on_gpu("gpu", 1)


def _in_a_process(folder: Path, cache: Path) -> FloatArray:
    return features(Bundle.open(folder), cache)


@pytest.mark.process
def test_two_processes_at_once(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        work = (bundle.folder, tmp_path)
        first, second = pool.starmap(_in_a_process, [work, work], chunksize=1)
    np.testing.assert_array_equal(first, second)
    assert len(list(tmp_path.glob("*.graph"))) == 1
    assert not list(tmp_path.glob(".*.part"))
