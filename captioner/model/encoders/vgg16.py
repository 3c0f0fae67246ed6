"""VGG16, the encoder of the early caption generators.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR
2015. The network is `keras.applications.VGG16` up to its second dense layer, `fc2`, whose 4096
activations are the pooled features, after log(1 + x). The feature map is the output of the last
pooling, 7 × 7 × 512 for photos of 224 pixels: that of `block5_conv3`, halved.

The dense layers read the whole map, so that their weights fit one input size: 224 pixels, for the
published ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captioner.model.encoders import applications
from captioner.model.encoders.interface import Arrays

if TYPE_CHECKING:
    import keras

name = "vgg16"
feature_size = 4096
grid_layer = "block5_pool"
stages = {
    **{f"block{number}": (f"block{number}",) for number in range(1, 6)},
    "fc1": ("fc1",),
    "fc2": ("fc2",),
}


def grid_shape(size: int) -> tuple[int, int, int]:
    """Height, width and channels of the last feature map for photos of `size` pixels a side."""
    return size // 32, size // 32, 512


def network(size: int) -> keras.Model:
    """Build the network: uint8 (N, size, size, 3) → log(1 + fc2) (N, 4096)."""
    from captioner.model.backend import keras

    photo, centred = applications.photo_input(size)
    # A single class: the classifier is not used.
    whole = keras.applications.VGG16(weights=None, input_tensor=centred, classes=1)
    feature = applications.log_features(whole.get_layer("fc2").output)
    return keras.Model(photo, feature, name=name)


def published_weights(source: str) -> Arrays:
    """Keras' weights trained on ImageNet, by layer path.

    Parameters
    ----------
    source
        "imagenet": Keras downloads them. Otherwise the path of a weights file of
        `keras.applications.VGG16` with its top.

    Raises
    ------
    UsageError
        If the file has the weights of another network.
    """
    from captioner.model.backend import keras

    return applications.published_weights(
        lambda weights: keras.applications.VGG16(weights=weights),
        source,
        "block1_conv1",
        lambda model: [layer for layer in model.layers if layer.name != "predictions"],
        "VGG16 with its top",
    )
