"""Xception, the encoder of the bundle that ships.

Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017. The network is
`keras.applications.Xception` without its classifier, after which come average pooling and
log(1 + x): the pooled activations of a ReLU have a long tail, which the logarithm shortens.

Layers have Keras' names, except for those that Keras numbers by process (`conv2d_3`): the residual
convolutions are `shortcut2` and `shortcut2_bn`, the sums `block2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captioner.model.encoders.interface import Arrays

if TYPE_CHECKING:
    import keras

_EPSILON = 1e-3
"""Of every batch normalisation."""
_BLOCKS = 14
_HALVING = (2, 3, 4, 13)
"""Blocks that halve height and width, with a convolution as their residual connection."""

name = "xception"
feature_size = 2048
stages = {
    f"block{number}": (f"block{number}", f"shortcut{number}") for number in range(1, _BLOCKS + 1)
}


def grid_shape(size: int) -> tuple[int, int, int]:
    """Height, width and channels of the last feature map for photos of `size` pixels a side."""
    side = (size - 3) // 2 + 1 - 2  # the two convolutions of block 1, without padding
    for _ in _HALVING:
        side = (side + 1) // 2
    return side, side, feature_size


def network(size: int) -> keras.Model:
    """Build the network: uint8 (N, size, size, 3) → log(1 + average pooled) (N, 2048)."""
    from captioner.model.backend import keras

    layers = keras.layers

    def normalise(x: Any, name: str) -> Any:
        return layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)

    def relu(x: Any, name: str) -> Any:
        return layers.Activation("relu", name=f"{name}_relu")(x)

    def convolution(x: Any, filters: int, name: str, **options: Any) -> Any:
        return normalise(layers.Conv2D(filters, use_bias=False, name=name, **options)(x), name)

    def separable(x: Any, filters: int, name: str) -> Any:
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
        return normalise(x, name)

    def halving(x: Any, number: int, filters: tuple[int, int]) -> Any:
        name = f"block{number}"
        shortcut = convolution(
            x, filters[1], f"shortcut{number}", kernel_size=1, strides=2, padding="same"
        )
        for n, count in enumerate(filters, 1):
            if number > 2 or n > 1:  # block 1 ends with a ReLU
                x = relu(x, f"{name}_sepconv{n}")
            x = separable(x, count, f"{name}_sepconv{n}")
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
        return layers.Add(name=name)([x, shortcut])

    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(photo)
    for name, filters, stride in (("block1_conv1", 32, 2), ("block1_conv2", 64, 1)):
        x = relu(convolution(x, filters, name, kernel_size=3, strides=stride), name)
    x = halving(x, 2, (128, 128))
    x = halving(x, 3, (256, 256))
    x = halving(x, 4, (728, 728))
    for number in range(5, 13):
        shortcut = x
        for name in (f"block{number}_sepconv{n}" for n in (1, 2, 3)):
            x = separable(relu(x, name), 728, name)
        x = layers.Add(name=f"block{number}")([x, shortcut])
    x = halving(x, 13, (728, 1024))
    for name, filters in (("block14_sepconv1", 1536), ("block14_sepconv2", 2048)):
        x = relu(separable(x, filters, name), name)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    # The last cast keeps the features float32 under a mixed precision policy.
    feature = layers.Activation(keras.ops.log1p, dtype="float32", name="feature")(x)
    return keras.Model(photo, feature, name="xception")


def published_weights(source: str) -> Arrays:
    """Keras' weights trained on ImageNet, by layer path.

    Parameters
    ----------
    source
        "imagenet": Keras downloads them. Otherwise the path of a weights file of
        `keras.applications.Xception` without its top.
    """
    from captioner.model.backend import keras

    weights = "imagenet" if source == "imagenet" else None
    model = keras.applications.Xception(weights=weights, include_top=False)
    if weights is None:
        model.load_weights(source)
    arrays: Arrays = {}
    shortcuts = iter(_HALVING)
    number = 0
    for layer in model.layers:
        name = layer.name
        if layer.weights and not name.startswith("block"):
            if isinstance(layer, keras.layers.Conv2D):
                number = next(shortcuts)
                name = f"shortcut{number}"
            else:
                name = f"shortcut{number}_bn"
        for weight in layer.weights:
            arrays[f"{name}.{weight.name}"] = keras.ops.convert_to_numpy(weight)
    return arrays
