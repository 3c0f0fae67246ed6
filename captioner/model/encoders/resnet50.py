"""ResNet50: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

The network is `keras.applications.ResNet50` without its classifier, after which come average
pooling and log(1 + x), as in Xception. The feature map has 7 × 7 × 2048 numbers for photos of 224
pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from captioner.model.encoders import applications
from captioner.model.encoders.interface import Arrays

if TYPE_CHECKING:
    import keras

name = "resnet50"
feature_size = 2048
_BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}
"""Residual blocks of each group of layers."""
stages = {
    "conv1": ("conv1",),
    **{
        f"conv{group}_block{block}": (f"conv{group}_block{block}",)
        for group, blocks in _BLOCKS.items()
        for block in range(1, blocks + 1)
    },
}


def grid_shape(size: int) -> tuple[int, int, int]:
    """Height, width and channels of the last feature map for photos of `size` pixels a side."""
    side = size
    for _ in range(5):
        side = (side + 1) // 2
    return side, side, feature_size


def network(size: int) -> keras.Model:
    """Build the network: uint8 (N, size, size, 3) → log(1 + average pooled) (N, 2048)."""
    from captioner.model.backend import keras

    photo, centred = applications.photo_input(size)
    whole = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=centred)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(whole.output)
    return keras.Model(photo, applications.log_features(pooled), name=name)


def published_weights(source: str) -> Arrays:
    """Keras' weights trained on ImageNet, by layer path.

    Parameters
    ----------
    source
        "imagenet": Keras downloads them. Otherwise the path of a weights file of
        `keras.applications.ResNet50` without its top.

    Raises
    ------
    UsageError
        If the file has the weights of another network.
    """
    from captioner.model.backend import keras

    return applications.published_weights(
        lambda weights: keras.applications.ResNet50(weights=weights, include_top=False),
        source,
        "conv1_conv",
        lambda model: model.layers,
        "ResNet50 without its top",
    )
