"""Encoders: what Xception is, how weights are named, and an encoder from outside the package."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_encoder
from processes import ROOT

from captioner.errors import CaptionerError, UsageError
from captioner.model import bundle as bundles
from captioner.model import encoders
from captioner.model.bundle import ARCHITECTURE, Bundle
from captioner.model.encoders import Architecture, TrainedEncoder, xception
from captioner.model.encoders.trained import packaged_architecture
from captioner.model.engines import start_engine

keras = pytest.importorskip("keras")
SIZE = 96
WEIGHTS = pytest.mark.skipif(
    not (ROOT / "weights/base/bundle.json").is_file(), reason="there is no weights/base yet"
)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    return xception.network(SIZE)


def photos(size: int, count: int = 5):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def write(folder: Path, trained: TrainedEncoder) -> Bundle:
    return bundles.write(
        folder,
        {"describe": {}, "input": {"size": trained.size}, "encoder": dict(trained.manifest)},
        arrays=trained.arrays,
        texts=trained.texts,
    )


class TestXception:
    def test_is_what_keras_publishes(self, network, tmp_path: Path) -> None:
        published = keras.applications.Xception(weights=None, include_top=False)
        random = np.random.default_rng(0)
        for layer in published.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([random.uniform(0.9, 1.1, w.shape) for w in layer.weights])
                layer.beta.assign(random.normal(0, 0.1, layer.beta.shape))
                layer.moving_mean.assign(random.normal(0, 0.1, layer.beta.shape))
            else:
                layer.set_weights([1.7 * keras.ops.convert_to_numpy(w) for w in layer.weights])
        file = tmp_path / "x.weights.h5"
        published.save_weights(file)
        encoders.set_weights(network, xception.published_weights(str(file)))
        pixels = photos(SIZE)
        maps = published.predict(pixels / np.float32(127.5) - 1, verbose=0)
        expected = np.log1p(maps.mean(axis=(1, 2)))
        assert expected.std(axis=0).mean() > 1e-4
        np.testing.assert_allclose(network.predict(pixels, verbose=0), expected, atol=1e-4)
        assert maps.shape[1:] == xception.grid_shape(SIZE)

    def test_its_architecture_file_is_up_to_date(self, network) -> None:
        content = json.loads(packaged_architecture("xception").read_text("utf-8"))
        assert Architecture.from_json(content) == Architecture.of(network), (
            "run `python -m captioner.model.encoders`"
        )

    @WEIGHTS
    def test_its_weights_have_the_names_in_the_bundle(self, network) -> None:
        trained = TrainedEncoder.read(Bundle.open(ROOT / "weights/base"))
        assert trained.encoder is xception
        assert set(trained.weights) == set(encoders.get_weights(network))
        names = {layer.name for layer in trained.architecture.layers}
        assert trained.calibration is not None
        assert {
            place.partition("/")[0].removesuffix("_depthwise").removesuffix("_convolution")
            for place in trained.calibration.activation_ranges
        } < names

    @pytest.mark.parametrize(("size", "side"), [(96, 3), (224, 7), (299, 10)])
    def test_its_feature_map(self, size: int, side: int) -> None:
        assert xception.grid_shape(size) == (side, side, 2048)

    @pytest.mark.parametrize(("stages", "first"), [(0, None), (1, 14), (10, 5), (14, 1)])
    def test_its_last_stages_are_trained_without_batch_normalisation(
        self, network, stages: int, first: int | None
    ) -> None:
        encoders.set_trainable(network, xception, stages)
        trained = [layer for layer in network.layers if layer.trainable and layer.weights]
        assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in trained)
        numbers = [int(x.name[5:].split("_")[0]) for x in trained if x.name.startswith("block")]
        assert min(numbers, default=None) == first
        shortcuts = {x.name for x in trained if x.name.startswith("shortcut")}
        every = (2, 3, 4, 13)
        assert shortcuts == {f"shortcut{n}" for n in every if first is not None and n >= first}

    def test_it_has_no_more_stages(self, network) -> None:
        with pytest.raises(UsageError, match="14 stages"):
            encoders.set_trainable(network, xception, 15)


class TestWeights:
    def test_by_layer_path(self) -> None:
        arrays = encoders.get_weights(toy_encoder.network(32))
        assert {"conv.kernel", "conv.bias", "deep.pointwise_kernel", "deep_bn.gamma"} < set(arrays)
        again = toy_encoder.network(32)
        encoders.set_weights(again, arrays)
        for name, value in encoders.get_weights(again).items():
            np.testing.assert_array_equal(value, arrays[name])

    def test_of_another_network(self) -> None:
        network = toy_encoder.network(32)
        arrays = encoders.get_weights(network)
        with pytest.raises(CaptionerError, match=r"conv\.bias has shape \(3,\)"):
            encoders.set_weights(network, {**arrays, "conv.bias": np.zeros(3, np.float32)})
        del arrays["deep_bn.beta"]
        with pytest.raises(CaptionerError, match=r"deep_bn\.beta is missing"):
            encoders.set_weights(network, arrays)


class TestFromOutside:
    @pytest.fixture(autouse=True)
    def toy(self) -> None:
        assert encoders.register("toy_encoder") is toy_encoder
        assert encoders.get("toy") is toy_encoder

    @pytest.fixture
    def trained(self) -> TrainedEncoder:
        keras.utils.set_random_seed(2)
        trained = TrainedEncoder.of(toy_encoder, 64)
        random = np.random.default_rng(2)
        weights = {
            name: np.abs(value + random.normal(0, 0.1, value.shape)).astype(np.float32)
            if name.startswith("deep_bn")
            else value
            for name, value in trained.weights.items()
        }
        return replace(trained, weights=weights)

    def test_runs_from_a_bundle_on_both_engines(
        self, trained: TrainedEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CAPTIONER_HOME", str(tmp_path))
        bundle = write(tmp_path / "bundle", trained)
        cpu = start_engine(bundle, "cpu", "float32", 4, grid=True)
        gpu = start_engine(bundle, "keras", "float32", 4, grid=True)
        pixels = photos(64, 6)
        for ours, expected in zip(
            cpu.encode([pixels[:4], pixels[4:]]), gpu.encode([pixels[:4], pixels[4:]]), strict=True
        ):
            assert ours.pooled.shape == (len(ours), 12)
            assert expected.pooled.std(axis=0).mean() > 1e-4
            np.testing.assert_allclose(ours.pooled, expected.pooled, atol=1e-5)
            assert ours.grid is not None and expected.grid is not None
            assert ours.grid.shape[1:] == toy_encoder.grid_shape(64)
            np.testing.assert_allclose(ours.grid, expected.grid, atol=1e-5)

    def test_runs_in_int8(self, trained: TrainedEncoder, tmp_path: Path) -> None:
        pytest.importorskip("nncf", reason="calibrating needs the extra captioner[train]")
        from captioner.model.engines.calibration import calibrate_int8

        calibration = calibrate_int8(trained, photos(64, 20))
        assert {"conv/shift", "deep/shift", "deeper/shift"} < set(calibration.activation_ranges)
        calibrated = replace(trained, calibration=calibration)
        bundle = write(tmp_path / "bundle", calibrated)
        stored = TrainedEncoder.read(bundle)
        assert stored.is_calibrated()
        assert stored.calibration and stored.calibration.weight_bits == 7
        other = {name: weights + 1 for name, weights in trained.weights.items()}
        assert not replace(stored, weights=other).is_calibrated()
        pixels = photos(64, 4)
        int8, exact = (
            next(start_engine(bundle, "cpu", precision, 4).encode([pixels])).pooled
            for precision in ("int8", "float32")
        )
        assert not np.array_equal(int8, exact)
        np.testing.assert_allclose(int8, exact, atol=0.05 * exact.max())

    def test_only_modules_of_another_name(self) -> None:
        class Other:
            name = "toy"

        with pytest.raises(ValueError, match="'toy'"):
            encoders.register(Other())  # type: ignore[arg-type]

    def test_another_process_does_not_know_it(
        self, trained: TrainedEncoder, tmp_path: Path
    ) -> None:
        bundle = write(tmp_path / "bundle", trained)
        code = (
            "from pathlib import Path; from captioner.errors import CaptionerError\n"
            "from captioner.model.bundle import Bundle\n"
            "from captioner.model.encoders import TrainedEncoder\n"
            f"try: TrainedEncoder.read(Bundle.open(Path({str(bundle.folder)!r})))\n"
            "except CaptionerError as error: print(error.reason, error.remedy)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
        )
        assert f"{bundle.folder / 'bundle.json'} names the encoder toy" in done.stdout
        assert "xception" in done.stdout

    def test_a_damaged_architecture(self, trained: TrainedEncoder, tmp_path: Path) -> None:
        texts = {ARCHITECTURE: {"layers": [{"name": "photo"}]}}
        manifest = {
            "describe": {},
            "input": {"size": 64},
            "encoder": dict(trained.manifest),
        }
        bundle = bundles.write(tmp_path / "b", manifest, arrays=trained.arrays, texts=texts)
        with pytest.raises(CaptionerError, match=ARCHITECTURE):
            TrainedEncoder.read(bundle)
        bundle = bundles.write(tmp_path / "c", manifest, arrays=trained.arrays, texts={})
        with pytest.raises(CaptionerError, match="no architecture of the encoder toy"):
            TrainedEncoder.read(bundle)


def test_an_unknown_encoder() -> None:
    with pytest.raises(UsageError, match="no encoder nonesuch"):
        encoders.get("nonesuch")


def test_a_network_that_cannot_be_written_down() -> None:
    photo = keras.Input((8, 8, 3), dtype="uint8", name="photo")
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    network = keras.Model(photo, keras.layers.Flatten()(twice(twice(photo))))
    with pytest.raises(CaptionerError, match="twice is used 2 times"):
        Architecture.of(network)
    with pytest.raises(CaptionerError):
        Architecture.of(keras.Model(photo, [photo, photo]))
