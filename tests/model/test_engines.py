"""The engines run one network: Keras and OpenVINO agree, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from captioner.model import openvino
from captioner.model.openvino import OpenVINOEngine

networks = pytest.importorskip("captioner.model.networks")
SIZE = 96


@pytest.fixture(scope="module")
def arrays():
    """A random Xception whose activations keep a natural size."""
    import keras

    keras.utils.set_random_seed(3)
    arrays = networks.encoder_arrays(networks.encoder(SIZE))
    random = np.random.default_rng(3)
    for name, value in arrays.items():
        if name.endswith("kernel"):
            np.multiply(value, 1.7, out=value)
        elif name.endswith(("beta", "moving_mean")):
            np.add(value, random.normal(0, 0.1, value.shape).astype(np.float32), out=value)
    return arrays


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def expected(arrays, photos):
    engine = networks.KerasEngine(arrays, SIZE, batch_size=8)
    return np.concatenate(list(engine.encode([photos])))


def test_features_are_worth_comparing(expected):
    assert expected.shape == (7, 2048)
    assert np.isfinite(expected).all()
    assert expected.std(axis=0).mean() > 1e-4


def test_openvino_built_from_weights_equals_keras(arrays, photos, expected):
    engine = OpenVINOEngine(openvino.build(arrays, SIZE), precision="float32", batch_size=4)
    ours = np.concatenate(list(engine.encode([photos[:4], photos[4:]])))
    np.testing.assert_allclose(ours, expected, atol=2e-4, rtol=1e-3)


def test_order_and_short_batches(arrays, photos, expected):
    engine = OpenVINOEngine(openvino.build(arrays, SIZE), precision="float32", batch_size=2)
    batches = [photos[:2], photos[2:3], photos[3:5], photos[5:6], photos[6:]]
    out = list(engine.encode(iter(batches)))
    assert [len(batch) for batch in out] == [2, 1, 2, 1, 1]
    np.testing.assert_allclose(np.concatenate(out), expected, atol=2e-4, rtol=1e-3)


def test_int8_is_the_same_encoder_with_ranges(arrays, photos, expected, tmp_path):
    pytest.importorskip("nncf", reason="calibrating needs the extra captioner[train]")
    ranges = openvino.calibrate(arrays, SIZE, photos)
    save_file(ranges, tmp_path / "ranges.safetensors")
    graph = openvino.build(arrays, SIZE, load_file(tmp_path / "ranges.safetensors"))
    kinds = [node.get_type_name() for node in graph.get_ops()]
    assert kinds.count("FakeQuantize") > kinds.count("Convolution")
    engine = OpenVINOEngine(graph, precision="int8", batch_size=8, cache=tmp_path / "cache")
    ours = next(engine.encode([photos]))
    assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.98
    assert not np.array_equal(ours, expected)


def test_weights_travel_by_name(arrays):
    again = networks.encoder(SIZE)
    networks.set_encoder(again, arrays)
    for name, value in networks.encoder_arrays(again).items():
        np.testing.assert_array_equal(value, arrays[name])


@pytest.mark.parametrize(("blocks", "first"), [(0, None), (1, 14), (10, 5), (14, 1)])
def test_freezing_leaves_the_last_blocks_and_no_batch_normalisation(blocks, first):
    import keras

    model = networks.encoder(SIZE)
    networks.freeze_below(model, blocks)
    trained = [layer for layer in model.layers if layer.trainable and layer.weights]
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in trained)
    numbers = [int(x.name[5:].split("_")[0]) for x in trained if x.name.startswith("block")]
    assert min(numbers, default=None) == first
