"""Keras networks as OpenVINO graphs: the same features, whatever the layers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from captioner.errors import CaptionerError
from captioner.model.encoders import Architecture, TrainedEncoder, get_weights, set_weights
from captioner.model.engines.openvino import OpenVINOEngine
from captioner.model.engines.translate import SUPPORTED, translate

keras = pytest.importorskip("keras")
layers = keras.layers


def every_layer(size: int) -> Any:
    """A network that has each layer which can be translated, in several forms."""
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    x = layers.Rescaling([0.01, 0.02, 0.015], offset=[-1.0, -0.5, 0.25], name="scale")(photo)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)  # after an activation: not folded
    x = layers.Conv2D(8, 3, dilation_rate=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.ReLU(max_value=6.0)(x)
    a = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    a = layers.BatchNormalization(center=False)(a)
    a = layers.Activation("silu")(a)
    b = layers.SeparableConv2D(16, 3, depth_multiplier=2, padding="same", activation="gelu")(x)
    c = layers.Conv2D(16, (3, 1), groups=2, padding="same")(x)
    both = layers.Add()([c, layers.BatchNormalization()(c)])  # two readers: not folded
    c = layers.Softmax()(both)
    x = layers.Concatenate()([a, b, c])
    x = layers.SpatialDropout2D(0.2)(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(48, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.ReLU(negative_slope=0.1)(x)
    x = layers.AveragePooling2D(2, padding="same")(x)
    tokens = layers.Reshape((-1, 16))(x)
    tokens = layers.Dense(4, activation="tanh")(tokens)
    tokens = layers.Flatten()(tokens)
    tokens = layers.BatchNormalization()(layers.Dense(16)(tokens))
    square = layers.Reshape((2, 2, 4))(tokens)
    square = layers.Conv2D(6, 2, padding="valid")(layers.Dense(5)(square))
    square = layers.Flatten()(square)
    flat = layers.Dense(20)(layers.Flatten()(x))
    flat = layers.Dropout(0.5)(flat)
    x = layers.Concatenate()([tokens, square, flat, layers.GlobalMaxPooling2D()(x)])
    x = layers.Activation(keras.ops.log1p)(layers.Activation("relu")(x))
    return keras.Model(photo, x, name="every_layer")


def resnet50(size: int) -> Any:
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    scaled = layers.Rescaling(1.0, offset=[-123.68, -116.779, -103.939], name="centre")(photo)
    return keras.applications.ResNet50(
        weights=None, include_top=False, pooling="avg", input_tensor=scaled
    )


def vgg16(size: int) -> Any:
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    scaled = layers.Rescaling(1 / 128, offset=-1.0, name="scale")(photo)
    return keras.applications.VGG16(
        weights=None, include_top=False, pooling="avg", input_tensor=scaled
    )


def random_weights(network: Any) -> None:
    """Statistics of batch normalisation that are not those of an untrained network."""
    random = np.random.default_rng(4)
    arrays = get_weights(network)
    for name, value in arrays.items():
        if name.endswith(("gamma", "moving_variance")):
            arrays[name] = random.uniform(0.7, 1.3, value.shape).astype(np.float32)
        elif name.endswith(("beta", "bias", "moving_mean")):
            arrays[name] = random.normal(0, 0.1, value.shape).astype(np.float32)
        elif name.startswith("block"):  # of VGG16, whose signal fades otherwise
            arrays[name] = value * np.float32(1.6)
    set_weights(network, arrays)


def trained(network: Any) -> TrainedEncoder:
    encoder: Any = SimpleNamespace(name=network.name, feature_size=network.output_shape[-1])
    size = network.input_shape[1]
    return TrainedEncoder(encoder, size, get_weights(network), Architecture.of(network), {})


def run(network: Any, pixels: Any) -> Any:
    engine = OpenVINOEngine(trained(network), precision="float32", batch_size=len(pixels))
    (features,) = engine.encode([pixels])
    return features.pooled


def test_all_layers_are_tested() -> None:
    assert {layer.kind for layer in Architecture.of(every_layer(32)).layers} == SUPPORTED


@pytest.mark.parametrize(
    ("build", "size"), [(every_layer, 32), (every_layer, 45), (resnet50, 45), (vgg16, 45)]
)
def test_features_equal_those_of_keras(build: Callable[[int], Any], size: int) -> None:
    keras.utils.set_random_seed(4)
    network = build(size)
    random_weights(network)
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), np.uint8)
    expected = network.predict(pixels, verbose=0)
    assert expected.std(axis=0).mean() > 1e-3
    found = run(network, pixels)
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / norms).min() > 0.99999
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "activation",
    """elu exponential gelu hard_sigmoid hard_silu leaky_relu linear relu relu6 sigmoid silu softmax
    softplus tanh""".split(),
)
def test_activations(activation: str) -> None:
    photo = keras.Input((3, 3, 3), dtype="uint8")
    x = layers.Rescaling(1 / 32, offset=-4.0)(photo)
    x = layers.Flatten()(layers.Activation(activation)(layers.ZeroPadding2D(1)(x)))
    network = keras.Model(photo, x)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 3), np.uint8)
    expected = network.predict(pixels, verbose=0)
    np.testing.assert_allclose(run(network, pixels), expected, atol=1e-5, rtol=1e-5)


def test_a_folded_normalisation_leaves_no_node() -> None:
    photo = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.BatchNormalization(name="gone")(layers.Conv2D(4, 3, name="kept")(photo))
    network = keras.Model(photo, layers.GlobalMaxPooling2D()(x))
    kinds = [node.get_type_name() for node in translate(trained(network)).get_ops()]
    assert kinds.count("Add") == 1 and "Multiply" not in kinds


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (layers.Conv2DTranspose(4, 3, name="odd"), "odd, a Conv2DTranspose"),
        (layers.Activation("selu", name="odd"), "odd, the activation selu"),
        (layers.ReLU(threshold=1.0, name="odd"), "odd, a ReLU with a threshold"),
        (layers.BatchNormalization(axis=1, name="odd"), "odd, normalising axis 1"),
        (keras.ops.sin, "Sin"),
    ],
)
def test_what_cannot_be_translated_is_named(layer: Callable[[Any], Any], named: str) -> None:
    photo = keras.Input((8, 8, 3), dtype="uint8")
    x = layer(layers.Rescaling(1.0)(photo))
    network = keras.Model(photo, layers.GlobalMaxPooling2D()(x))
    with pytest.raises(CaptionerError, match=named):
        translate(trained(network))


def test_other_faults_are_named() -> None:
    photo = keras.Input((8, 8, 3), name="photo")
    with pytest.raises(CaptionerError, match="photo, an input of float32"):
        translate(trained(keras.Model(photo, layers.Flatten()(photo))))
    photo = keras.Input((8, 8, 3), dtype="uint8")
    network = keras.Model(photo, layers.Dense(4, name="last")(layers.Flatten()(photo)))
    whole = trained(network)
    with pytest.raises(CaptionerError, match="no feature map"):
        translate(whole, grid=True)
    del whole.weights["last.kernel"]
    with pytest.raises(CaptionerError, match=r"lack last\.kernel"):
        translate(whole)
    whole.encoder.feature_size = 5  # type: ignore[misc]
    whole.weights["last.kernel"] = np.zeros((192, 4), np.float32)
    with pytest.raises(CaptionerError, match=r"\[\?,4\]"):
        translate(whole)
