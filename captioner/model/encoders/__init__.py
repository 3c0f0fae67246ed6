"""Image encoders by name: convolutional networks that compute features of photos.

An encoder is one module with the names of `interface.Encoder`: `name`, `feature_size`, `stages`,
`grid_shape` and `network`. A bundle's manifest names its encoder; `get` finds the module. Encoders
from outside the package are registered before a bundle that needs them is loaded::

    from captioner.model import encoders

    encoders.register("my_package.my_encoder")

Nothing here imports Keras before a network is asked for.
"""

from __future__ import annotations

from typing import cast

from captioner.model.encoders import resnet50, vgg16, xception
from captioner.model.encoders.architecture import Architecture, Layer
from captioner.model.encoders.interface import Encoder, Pretrained
from captioner.model.encoders.registry import get, names, register
from captioner.model.encoders.trained import Calibration, StoredEncoder, TrainedEncoder
from captioner.model.encoders.weights import digest, get_weights, set_trainable, set_weights

__all__ = [
    "Architecture",
    "Calibration",
    "Encoder",
    "Layer",
    "Pretrained",
    "StoredEncoder",
    "TrainedEncoder",
    "digest",
    "get",
    "get_weights",
    "names",
    "register",
    "set_trainable",
    "set_weights",
]

for _encoder in (xception, vgg16, resnet50):
    register(cast(Encoder, _encoder))
