"""VGG16 and ResNet50: what Keras publishes, on both engines, at a tiny size and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captioner.errors import CaptionerError, UsageError
from captioner.model import encoders
from captioner.model.encoders import TrainedEncoder, applications, resnet50, vgg16
from captioner.model.engines.keras import KerasEngine
from captioner.model.engines.openvino import OpenVINOEngine

keras = pytest.importorskip("keras")

SIZE = 48
"""The map of VGG16 is 1 × 1 then, and that of ResNet50 2 × 2."""
PIXELS = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
APPLICATIONS: dict[str, Any] = {
    "vgg16": lambda weights: keras.applications.VGG16(
        weights=weights, input_shape=(SIZE, SIZE, 3), classes=3
    ),
    "resnet50": lambda weights: keras.applications.ResNet50(weights=weights, include_top=False),
}


def random_weights(name: str) -> Any:
    """The network that Keras publishes, with weights as lively as trained ones."""
    model, random = APPLICATIONS[name](None), np.random.default_rng(0)
    for weight in model.weights:
        shape = weight.shape
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.8, 1.2, shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(random.normal(0, 0.1, shape))
        elif name == "vgg16":  # its signal fades otherwise
            weight.assign(1.5 * weight)
    return model


@pytest.fixture(scope="module", params=["vgg16", "resnet50"])
def published(request: pytest.FixtureRequest) -> Any:
    keras.utils.set_random_seed(1)
    return request.param, random_weights(request.param)


@pytest.fixture(scope="module")
def trained(published: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainedEncoder:
    """The encoder with weights that went through a file, as those without a network do."""
    name, model = published
    file = tmp_path_factory.mktemp("weights") / f"{name}.weights.h5"
    model.save_weights(file)
    first = "block1_conv1" if name == "vgg16" else "conv1_conv"
    weights = applications.published_weights(
        APPLICATIONS[name],
        str(file),
        first,
        lambda model: [layer for layer in model.layers if layer.name != "predictions"],
        name,
    )
    return TrainedEncoder.of(encoders.get(name), SIZE, weights)


def expected(name: str, model: Any) -> tuple[Any, Any]:
    """Pooled features and feature map, by Keras' own network and preprocessing."""
    application = getattr(keras.applications, name)
    x = application.preprocess_input(PIXELS.astype(np.float32))
    if name == "resnet50":
        maps = model.predict(x, verbose=0)
        return np.log1p(maps.mean(axis=(1, 2))), maps
    outputs = [model.get_layer(layer).output for layer in ("fc2", "block5_pool")]
    fc2, maps = keras.Model(model.input, outputs).predict(x, verbose=0)
    return np.log1p(fc2), maps


def cosines(a: Any, b: Any) -> Any:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_both_engines_compute_what_keras_publishes(published: Any, trained: TrainedEncoder) -> None:
    pooled, maps = expected(*published)
    assert pooled.std(axis=0).mean() > 1e-3 and maps.std(axis=0).mean() > 1e-3
    assert pooled.shape[1] == trained.feature_size
    assert maps.shape[1:] == trained.encoder.grid_shape(SIZE)
    for engine in (
        OpenVINOEngine(trained, precision="float32", batch_size=5, grid=True),
        KerasEngine(trained, batch_size=5, grid=True),
    ):
        (found,) = engine.encode([PIXELS])
        assert found.grid is not None
        for ours, theirs in ((found.pooled, pooled), (found.grid, maps)):
            assert cosines(ours, theirs).min() > 0.9999
            np.testing.assert_allclose(ours, theirs, atol=2e-3 * np.abs(theirs).max())


def test_channels_and_their_order_matter(published: Any, trained: TrainedEncoder) -> None:
    """Otherwise the test above would pass with red and blue exchanged."""
    pooled, _ = expected(*published)
    (found,) = OpenVINOEngine(trained, precision="float32", batch_size=5).encode(
        [np.ascontiguousarray(PIXELS[..., ::-1])]
    )
    assert found.grid is None
    assert cosines(found.pooled, pooled).max() < 0.9999


@pytest.mark.parametrize(
    ("encoder", "shape"), [(vgg16, (7, 7, 512)), (resnet50, (7, 7, 2048))], ids=str
)
def test_the_feature_map_at_224_pixels(encoder: Any, shape: tuple[int, int, int]) -> None:
    assert encoder.grid_shape(224) == shape


def test_stages_are_parts_of_the_network() -> None:
    assert len(resnet50.stages) == 17 and len(vgg16.stages) == 7
    network = resnet50.network(32)
    encoders.set_trainable(network, resnet50, 2)
    trainable = {layer.name for layer in network.layers if layer.trainable and layer.weights}
    assert trainable == {
        f"conv5_block{block}_{n}_conv" for block in (2, 3) for n in (1, 2, 3)
    }  # fmt: skip


def test_dense_layers_fit_one_size_only(tmp_path: Path) -> None:
    small = TrainedEncoder.of(vgg16, 32)
    assert not small.architecture.any_size
    with pytest.raises(CaptionerError, match=r"vgg16 for photos of 64 pixels: fc1\.kernel has"):
        TrainedEncoder.of(vgg16, 64, small.weights)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(file)
    with pytest.raises(UsageError, match=r"other.*does not have the weights of ResNet50 without"):
        resnet50.published_weights(str(file))
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(UsageError, match=r"text.*does not have the weights"):
        resnet50.published_weights(str(tmp_path / "text.h5"))
