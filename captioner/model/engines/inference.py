"""A Keras network for inference alone, with batch normalisation folded into the layer before it.

A back end that does not fuse layers, such as PyTorch, reads and writes every feature map three
times for a batch normalisation. Folding is exact (Jacob et al. 2018, "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference"). The network is built from the
architecture, without the random weights that an encoder begins with: JAX compiles a program for
each of their shapes.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from captioner.model.backend import keras
from captioner.model.encoders import Architecture, Layer, TrainedEncoder, set_weights
from captioner.types import FloatArray

_INITIALISERS = {
    "Conv2D": ("kernel",),
    "DepthwiseConv2D": ("depthwise",),
    "SeparableConv2D": ("depthwise", "pointwise"),
    "Dense": ("kernel",),
}
_SCALED = {
    "Conv2D": "kernel",
    "DepthwiseConv2D": "kernel",
    "SeparableConv2D": "pointwise_kernel",
    "Dense": "kernel",
}
"""Layers that a batch normalisation is folded into, with the weight that it scales."""
_NOTHING_AT_INFERENCE = {"Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout"}
_POOLING = {"GlobalAveragePooling2D", "GlobalMaxPooling2D"}


def inference_network(trained: TrainedEncoder, *, grid: bool = False) -> keras.Model:
    """The network of an encoder for inference; its weights are not for training.

    Layers have Keras' dtype policy that is in force, the last pooling and what follows float32.

    Returns
    -------
    A model from uint8 pixels (N, size, size, 3) to a dictionary: `pooled` (N, D), and `grid`
    (N, h, w, C), the feature map, if asked for.
    """
    architecture = trained.architecture
    if any("." in layer.kind for layer in architecture.layers):  # not one of Keras' own
        network = trained.network()
        return _with_outputs(
            network.input, lambda name: network.get_layer(name).output, architecture, grid
        )
    layers = {layer.name: layer for layer in architecture.layers}
    folds = _folds(architecture)
    weights = dict(trained.weights)
    for normalisation in folds.values():
        _fold(weights, layers[normalisation.inputs[0]], normalisation)
    biased = {normalisation.inputs[0] for normalisation in folds.values()}
    tensors: dict[str, Any] = {}
    photo = None
    for layer in architecture.layers:
        if layer.kind == "InputLayer":
            shape = (trained.size, trained.size, 3)
            photo = keras.Input(shape, dtype=layer.config["dtype"], name=layer.name)
            tensors[layer.name] = photo
            continue
        inputs = [tensors[name] for name in layer.inputs]
        if layer.name in folds or layer.kind in _NOTHING_AT_INFERENCE:
            tensors[layer.name] = inputs[0]
            continue
        built = _built(layer, bias=layer.name in biased, exact=layer.name == architecture.pooled)
        tensors[layer.name] = built(inputs if len(inputs) > 1 else inputs[0])
    model = _with_outputs(photo, tensors.__getitem__, architecture, grid)
    set_weights(model, weights)
    return model


def _with_outputs(photo: Any, tensor: Any, architecture: Architecture, grid: bool) -> keras.Model:
    outputs = {"pooled": tensor(architecture.pooled)}
    if grid and architecture.grid:
        outputs["grid"] = tensor(architecture.grid)
    return keras.Model(photo, outputs, name="encoder")


def _built(layer: Layer, *, bias: bool, exact: bool) -> Any:
    """A layer of Keras with its settings, its weights zero."""
    config = dict(layer.config)
    for weight in _INITIALISERS.get(layer.kind, ()):
        config[f"{weight}_initializer"] = "zeros"
    if bias:
        config["use_bias"] = True
    name = config.get("activation")
    if isinstance(name, str) and not hasattr(keras.activations, name):
        config["activation"] = getattr(keras.ops, name)
    if exact or layer.kind in _POOLING:
        config["dtype"] = "float32"
    return getattr(keras.layers, layer.kind)(name=layer.name, **config)


def _folds(architecture: Architecture) -> dict[str, Layer]:
    """The batch normalisations that are folded, by name: each the only reader of a linear layer."""
    layers = {layer.name: layer for layer in architecture.layers}
    readers = Counter(name for layer in architecture.layers for name in layer.inputs)
    readers.update(name for name in (architecture.pooled, architecture.grid) if name)
    folds = {}
    for layer in architecture.layers:
        if layer.kind != "BatchNormalization":
            continue
        before = layers[layer.inputs[0]]
        linear = before.config.get("activation", "linear") == "linear"
        channels_last = before.config.get("data_format", "channels_last") == "channels_last"
        if before.kind in _SCALED and linear and channels_last and readers[before.name] == 1:
            folds[layer.name] = layer
    return folds


def _fold(weights: dict[str, FloatArray], layer: Layer, normalisation: Layer) -> None:
    """Replace a layer's kernel and bias by those that include the normalisation after it."""

    def weight(name: str, otherwise: float) -> Any:
        return weights.get(f"{normalisation.name}.{name}", np.float32(otherwise))

    deviation = np.sqrt(weight("moving_variance", 1) + normalisation.config["epsilon"])
    scale = (weight("gamma", 1) / deviation).astype(np.float32)
    path = f"{layer.name}.{_SCALED[layer.kind]}"
    kernel = weights[path]
    # A depthwise kernel's last two axes are the output channels.
    factor = scale.reshape(kernel.shape[-2:]) if layer.kind == "DepthwiseConv2D" else scale
    weights[path] = kernel * factor
    bias = weights.get(f"{layer.name}.bias", np.float32(0))
    shift = weight("beta", 0) + (bias - weight("moving_mean", 0)) * scale
    weights[f"{layer.name}.bias"] = np.asarray(shift, np.float32)
