"""An encoder of three layers, as a program that uses captioner would add one."""

from __future__ import annotations

from typing import Any

name = "toy"
feature_size = 12
stages = {"conv": ("conv",), "deep": ("deep", "deeper")}


def grid_shape(size: int) -> tuple[int, int, int]:
    return -(-size // 16), -(-size // 16), feature_size


def network(size: int) -> Any:
    import keras
    from keras import layers

    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    x = layers.Rescaling(1 / 255, name="scale")(photo)
    x = layers.Conv2D(8, 5, strides=4, padding="same", activation="relu", name="conv")(x)
    x = layers.SeparableConv2D(16, 3, strides=2, padding="same", use_bias=False, name="deep")(x)
    x = layers.BatchNormalization(name="deep_bn")(x)
    x = layers.Conv2D(feature_size, 3, strides=2, padding="same", name="deeper")(x)
    x = layers.ReLU(name="deeper_relu")(x)
    return keras.Model(photo, layers.GlobalAveragePooling2D(name="pooled")(x), name=name)
