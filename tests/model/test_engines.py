"""The engines run one network: Keras and OpenVINO agree, whatever the batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openvino as ov
import pytest

from captioner.errors import CaptionerError
from captioner.model.encoders import Calibration, TrainedEncoder, xception
from captioner.model.engines.openvino import OpenVINOEngine
from captioner.model.engines.quantisation import quantise_weights
from captioner.model.engines.translate import translate

pytestmark = pytest.mark.training

pytest.importorskip("keras")
keras_engine = pytest.importorskip("captioner.model.engines.keras")
SIZE = 96


@pytest.fixture(scope="module")
def trained():
    """A random Xception whose activations keep a natural size."""
    import keras

    keras.utils.set_random_seed(3)
    trained = TrainedEncoder.of(xception, SIZE)
    random = np.random.default_rng(3)
    for name, value in trained.weights.items():
        if name.endswith("kernel"):
            np.multiply(value, 1.7, out=value)
        elif name.endswith(("beta", "moving_mean")):
            np.add(value, random.normal(0, 0.1, value.shape).astype(np.float32), out=value)
    return trained


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(trained, photos):
    engine = keras_engine.KerasEngine(trained, batch_size=8)
    return next(engine.encode([photos])).pooled


def test_features_are_worth_comparing(expected):
    assert expected.shape == (7, 2048)
    assert np.isfinite(expected).all()
    assert expected.std(axis=0).mean() > 1e-4


def test_openvino_equals_keras(trained, photos, expected):
    engine = OpenVINOEngine(trained, precision="float32", batch_size=4)
    ours = np.concatenate([each.pooled for each in engine.encode([photos[:4], photos[4:]])])
    np.testing.assert_allclose(ours, expected, atol=2e-4, rtol=1e-3)
    cosine = (ours * expected).sum(axis=1) / np.linalg.norm(ours, axis=1)
    assert (cosine / np.linalg.norm(expected, axis=1)).min() > 0.99999


def test_order_and_short_batches(trained, photos, expected):
    engine = OpenVINOEngine(trained, precision="float32", batch_size=2)
    batches = [photos[:2], photos[2:3], photos[3:5], photos[5:6], photos[6:]]
    out = list(engine.encode(iter(batches)))
    assert [len(batch) for batch in out] == [2, 1, 2, 1, 1]
    ours = np.concatenate([each.pooled for each in out])
    np.testing.assert_allclose(ours, expected, atol=2e-4, rtol=1e-3)


def test_the_feature_map_on_both_engines(trained, photos, expected):
    engines = (
        keras_engine.KerasEngine(trained, batch_size=8, grid=True),
        OpenVINOEngine(trained, precision="float32", batch_size=8, grid=True),
    )
    first, second = (next(engine.encode([photos])) for engine in engines)
    assert first.grid.shape == second.grid.shape == (7, *xception.grid_shape(SIZE))
    np.testing.assert_allclose(second.grid, first.grid, atol=1e-3 * first.grid.max())
    np.testing.assert_allclose(np.log1p(first.grid.mean(axis=(1, 2))), expected, atol=1e-4)


def test_int8_is_the_same_encoder_with_activation_ranges(trained, photos, expected):
    pytest.importorskip("nncf", reason="calibrating needs the extra captioner[train]")
    from captioner.model.engines.calibration import calibrate_int8

    trained = replace(trained, calibration=calibrate_int8(trained, photos))
    kinds = [node.get_type_name() for node in translate(trained, int8=True).get_ops()]
    assert kinds.count("FakeQuantize") > kinds.count("Convolution")
    engine = OpenVINOEngine(trained, precision="int8", batch_size=8)
    ours = next(engine.encode([photos])).pooled
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.98
    assert not np.array_equal(ours, expected)
    other = replace(
        trained, calibration=Calibration({"elsewhere/fq_output_0": np.zeros((2, 1))}, 7)
    )
    with pytest.raises(CaptionerError, match="no node elsewhere"):
        translate(other, int8=True)


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (7, 63)])
def test_weights_use_their_bits(bits, largest):
    kernel = np.random.default_rng(1).normal(size=(5, 30, 1, 1)).astype(np.float32)
    model = ov.Model([quantise_weights(kernel, bits)], [])
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    rounded = ov.Core().compile_model(model, "CPU", options)([])[0]
    step = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / (127 if bits == 8 else 63.49365)
    levels = rounded / step
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    assert np.abs(levels).max() == pytest.approx(largest, abs=1e-3)
    assert np.abs(rounded - kernel).max() <= step.max() / 2 + 1e-6
