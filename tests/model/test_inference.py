"""The network for inference: the same outputs, with batch normalisation folded where it can be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.training

keras = pytest.importorskip("keras")
pytest.importorskip("captioner.model.engines.inference")

from captioner.model.encoders import TrainedEncoder  # noqa: E402
from captioner.model.engines.inference import inference_network  # noqa: E402

SIZE = 24


class Doubled(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


def network(size: int, *, own_layer: bool = False) -> Any:
    layers = keras.layers
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 255, name="scale")(photo)
    x = layers.Conv2D(6, 3, strides=2, name="conv")(x)
    x = layers.BatchNormalization(name="conv_bn")(x)
    x = layers.Activation("relu", name="conv_relu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depth")(x)
    x = layers.BatchNormalization(center=False, name="depth_bn")(x)
    y = layers.SeparableConv2D(12, 3, padding="same", use_bias=False, name="separable")(x)
    y = layers.BatchNormalization(scale=False, name="separable_bn")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2D(8, 1, activation="relu", name="bent")(x)
    x = layers.BatchNormalization(name="after_relu_bn")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    if own_layer:
        x = Doubled(name="doubled")(x)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    x = layers.Dense(5, name="dense")(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    return keras.Model(photo, layers.Activation(keras.ops.log1p, name="feature")(x))


def trained(own_layer: bool) -> TrainedEncoder:
    random = np.random.default_rng(5)
    encoder: Any = SimpleNamespace(
        name="several", feature_size=5, network=lambda size: network(size, own_layer=own_layer)
    )
    made = TrainedEncoder.of(encoder, SIZE)
    weights = {
        name: np.abs(random.normal(0.5, 0.2, array.shape)).astype(np.float32)
        for name, array in made.weights.items()
    }
    return replace(made, weights=weights)


@pytest.mark.parametrize("own_layer", [False, True])
def test_it_gives_the_same_features_and_feature_map(own_layer: bool) -> None:
    encoder = trained(own_layer)
    pixels = np.random.default_rng(6).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    original = encoder.network()
    grid = original.get_layer(encoder.architecture.grid).output
    wanted = keras.Model(original.input, [original.output, grid])(pixels)
    found = inference_network(encoder, grid=True)
    outputs = found(pixels)
    for ours, theirs in zip((outputs["pooled"], outputs["grid"]), wanted, strict=True):
        expected = keras.ops.convert_to_numpy(theirs)
        assert np.isfinite(expected).all() and expected.std() > 0
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), expected, rtol=1e-4)
    left = {
        layer.name for layer in found.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    every = {"conv_bn", "depth_bn", "separable_bn", "after_relu_bn", "dense_bn"}
    assert left == (every if own_layer else {"after_relu_bn"})
