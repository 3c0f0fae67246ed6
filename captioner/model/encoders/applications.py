"""What the encoders taken from `keras.applications` share: input, preprocessing, weights.

VGG16 and ResNet50 were trained in Caffe, on channels in the order blue, green, red, each less its
mean over ImageNet (`keras.applications.imagenet_utils.preprocess_input`, mode "caffe"). Here the
means are subtracted by the network's first layer, and the channels of the first convolution's
kernel are reversed once instead of those of every photo.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.errors import UsageError
from captioner.model.encoders.interface import Arrays

if TYPE_CHECKING:
    import keras

_MEAN = (123.68, 116.779, 103.939)
"""Of ImageNet's red, green and blue, 0 to 255."""


def photo_input(size: int) -> tuple[Any, Any]:
    """The input `photo`, uint8 (N, size, size, 3), and the same less ImageNet's means."""
    from captioner.model.backend import keras

    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    centre = keras.layers.Rescaling(1.0, offset=[-mean for mean in _MEAN], name="centre")
    return photo, centre(photo)


def log_features(pooled: Any) -> Any:
    """The layer `feature`, log(1 + x): activations of a ReLU have a long tail, as in Xception."""
    from captioner.model.backend import keras

    # The cast keeps the features float32 under a mixed precision policy.
    return keras.layers.Activation(keras.ops.log1p, dtype="float32", name="feature")(pooled)


def published_weights(
    build: Callable[[str | None], keras.Model],
    source: str,
    first: str,
    layers: Callable[[keras.Model], Iterable[Any]],
    what: str,
) -> Arrays:
    """Published weights by layer path.

    Parameters
    ----------
    build
        The published network, with the weights "imagenet" or None.
    source
        "imagenet": Keras downloads them. Otherwise the path of a weights file.
    first
        The first convolution, whose input channels are reversed.
    layers
        The layers of the published network that the encoder has.
    what
        What the file has to be, for a message.

    Raises
    ------
    UsageError
        If the file has the weights of another network.
    """
    from captioner.model.backend import keras

    model = build("imagenet" if source == "imagenet" else None)
    if source != "imagenet":
        try:
            with warnings.catch_warnings():
                # Keras warns of layers that the file does not have, and leaves them random.
                warnings.simplefilter("error", UserWarning)
                model.load_weights(source)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise UsageError(
                f"{Path(source)} does not have the weights of {what}: {reason.rstrip('.')}.",
                f"Name a Keras weights file of {what} (.weights.h5, or .h5 as Keras publishes it).",
            ) from error
    arrays = {
        f"{layer.name}.{weight.name}": keras.ops.convert_to_numpy(weight)
        for layer in layers(model)
        for weight in layer.weights
    }
    kernel = arrays[f"{first}.kernel"]
    arrays[f"{first}.kernel"] = np.ascontiguousarray(kernel[:, :, ::-1])
    return arrays
