"""From a Keras network to an OpenVINO graph, for any encoder, without Keras.

A bundle stores an encoder as its architecture (`encoder.json`) and its weights by layer path. From
these two this module makes the graph, once for each machine: `compiled` keeps it. The alternative,
an OpenVINO IR file in the bundle, was not taken:

- float32, bfloat16, int8 and Keras share one set of float16 weights; an IR would hold them again,
  and once more for int8, in a bundle that is meant to be small.
- The architecture is plain text that can be read and compared; an IR is a second format, tied to
  the program that wrote it.
- Neither way needs TensorFlow to run, but only this one needs no converter in training.

Inside, feature maps are (N, C, h, w), as OpenVINO has them; Keras' are (N, h, w, C). Batch
normalisation is folded into the convolution before it, where that has no other reader (Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference"). Nodes are named after their layers: activation ranges are found again by these names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op

from captioner.errors import CaptionerError
from captioner.model.encoders import Layer, TrainedEncoder
from captioner.model.engines.quantisation import (
    limit_activations,
    quantise_weights,
    shift_name,
)
from captioner.types import FloatArray


def translate(trained: TrainedEncoder, *, int8: bool = False, grid: bool = False) -> ov.Model:
    """Write the OpenVINO graph of an encoder.

    Parameters
    ----------
    trained
        Its architecture, weights and input size; with `int8` also its activation ranges.
    grid
        Give the last feature map as a second output.

    Returns
    -------
    ov.Model
        uint8 pixels (?, size, size, 3) → pooled features (?, D) and, if asked for, the feature map
        (?, h, w, C), float32.

    Raises
    ------
    CaptionerError
        If the network has a layer that is not supported, or the encoder has no feature map.
    """
    return _Translator(trained, int8).model(grid)


@dataclass(frozen=True, slots=True)
class _Tensor:
    output: ov.Output
    channels_last: bool = True
    """Of a tensor with four axes: (N, h, w, C) rather than (N, C, h, w)."""

    @property
    def rank(self) -> int:
        return int(self.output.get_partial_shape().rank.get_length())

    @property
    def channel_axis(self) -> int:
        return 1 if self.rank == 4 and not self.channels_last else self.rank - 1

    def per_channel(self, values: FloatArray) -> FloatArray:
        """One value for each channel, in a shape that broadcasts to this tensor."""
        return values[None, :, None, None] if self.channel_axis != self.rank - 1 else values

    def channels_first(self) -> ov.Output:
        if not self.channels_last or self.rank != 4:
            return self.output
        return _output(op.transpose(self.output, np.array([0, 3, 1, 2])))

    def as_keras(self) -> ov.Output:
        if self.channels_last or self.rank != 4:
            return self.output
        return _output(op.transpose(self.output, np.array([0, 2, 3, 1])))

    def like(self, node: ov.Node) -> _Tensor:
        """The result of an operation that keeps the layout."""
        return _Tensor(_output(node), self.channels_last)


def _output(node: ov.Node) -> ov.Output:
    return node.output(0)


def _feature_map(node: ov.Node) -> _Tensor:
    return _Tensor(_output(node), channels_last=False)


class _Translator:
    """Translates the layers of one network, one after the other."""

    def __init__(self, trained: TrainedEncoder, int8: bool) -> None:
        self._trained = trained
        self._calibration = trained.calibration if int8 else None
        self._ranges = self._calibration.activation_ranges if self._calibration else {}
        self._layers = {layer.name: layer for layer in trained.architecture.layers}
        self._tensors: dict[str, _Tensor] = {}
        self._parameters: list[ov.Node] = []
        self._normalisations = self._foldable()

    def _foldable(self) -> dict[str, Layer]:
        """By the name of a layer, the batch normalisation that is folded into it."""
        architecture = self._trained.architecture
        readers = Counter(name for layer in architecture.layers for name in layer.inputs)
        readers.update(name for name in (architecture.pooled, architecture.grid) if name)
        folded = {}
        for layer in architecture.layers:
            if layer.kind == "BatchNormalization":
                before = self._layers[layer.inputs[0]]
                linear = before.config.get("activation", "linear") == "linear"
                if before.kind in WEIGHTED and linear and readers[before.name] == 1:
                    folded[before.name] = layer
        return folded

    def model(self, grid: bool) -> ov.Model:
        architecture, encoder = self._trained.architecture, self._trained.encoder
        for layer in architecture.layers:
            if layer.kind not in _LAYERS or "data_format" in layer.config:
                raise self._unsupported(layer)
            inputs = [self._tensors[name] for name in layer.inputs]
            self._tensors[layer.name] = _LAYERS[layer.kind](self, layer, inputs)
        pooled = self._tensors[architecture.pooled].output
        shape = pooled.get_partial_shape()
        if len(shape) != 2 or shape[1] != encoder.feature_size:
            raise CaptionerError(
                f"the network of the encoder {encoder.name} gives {shape}, not (?, "
                f"{encoder.feature_size}).",
                "Its network has to end in as many features as it declares.",
            )
        results = [op.result(pooled)]
        if grid:
            if architecture.grid is None:
                raise CaptionerError(f"the encoder {encoder.name} has no feature map.")
            results.append(op.result(self._tensors[architecture.grid].as_keras()))
        model = ov.Model(results, self._parameters, "encoder")
        if self._ranges:
            limit_activations(model, self._ranges)
        return model

    def _unsupported(self, layer: Layer, why: str = "") -> CaptionerError:
        return CaptionerError(
            f"the network of the encoder {self._trained.encoder.name} has a layer that cannot run "
            f"on OpenVINO: {layer.name}, {why or 'a ' + layer.kind}.",
            "Use --device keras, or build the network of other layers.",
        )

    def _weight(self, layer: Layer, name: str) -> FloatArray:
        try:
            return self._trained.weights[f"{layer.name}.{name}"]
        except KeyError:
            raise CaptionerError(
                f"the weights of the encoder {self._trained.encoder.name} lack "
                f"{layer.name}.{name}.",
                "Make the bundle again with `captioner train`, or use another.",
            ) from None

    # Input and preprocessing

    def _input(self, layer: Layer, _: Sequence[_Tensor]) -> _Tensor:
        if layer.config["dtype"] != "uint8":
            raise self._unsupported(layer, f"an input of {layer.config['dtype']}, not uint8")
        size = self._trained.size
        photo = op.parameter([-1, size, size, 3], ov.Type.u8, name=layer.name)
        self._parameters.append(photo)
        return _Tensor(_output(op.convert(photo, "f32")))

    def _rescaling(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        (x,) = inputs
        scale, offset = (np.array(layer.config[name], np.float32) for name in ("scale", "offset"))
        # A scalar, or one value for each channel.
        scale, offset = (x.per_channel(one) if one.ndim else one for one in (scale, offset))
        return x.like(op.add(op.multiply(x.output, scale), offset, name=layer.name))

    # Layers with weights

    def _scale_and_shift(self, layer: Layer) -> tuple[FloatArray, FloatArray]:
        """Of a batch normalisation, (C,) each."""
        mean = self._weight(layer, "moving_mean")
        scale = np.sqrt(self._weight(layer, "moving_variance") + layer.config["epsilon"])
        scale = (self._weight(layer, "gamma") if layer.config["scale"] else 1) / scale
        shift = (self._weight(layer, "beta") if layer.config["center"] else 0) - mean * scale
        return scale.astype(np.float32), shift.astype(np.float32)

    def _normalisation(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        (x,) = inputs
        if self._normalisations.get(layer.inputs[0]) is layer:
            return x
        if layer.config["axis"] not in (-1, x.rank - 1):
            raise self._unsupported(layer, f"normalising axis {layer.config['axis']}")
        scale, shift = map(x.per_channel, self._scale_and_shift(layer))
        return x.like(op.add(op.multiply(x.output, scale), shift, name=layer.name))

    def _folded(self, layer: Layer, kernel: str, channels: int) -> tuple[FloatArray, FloatArray]:
        """Kernel and shift of a layer, with the batch normalisation after it.

        The last of the kernel's axes, or the last two, are the output channels.
        """
        weights = self._weight(layer, kernel)
        shift = np.zeros(channels, np.float32)
        if layer.config["use_bias"]:
            shift = self._weight(layer, "bias")
        if normalisation := self._normalisations.get(layer.name):
            scale, own = self._scale_and_shift(normalisation)
            last = weights.shape[-1]
            weights = weights * (scale if last == channels else scale.reshape(-1, last))
            shift = shift * scale + own
        return weights, self._ranges.get(shift_name(layer.name), shift)

    def _constant(self, kernel: FloatArray) -> ov.Node:
        """Weights, rounded to int8 in the int8 graph; the first axis is the output's."""
        kernel = np.ascontiguousarray(kernel)
        if not (self._calibration and self._ranges):
            return op.constant(kernel)
        return quantise_weights(kernel, self._calibration.weight_bits)

    def _convolution(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        kernel, shift = self._folded(layer, "kernel", layer.config["filters"])
        kernel = kernel.transpose(3, 2, 0, 1)
        if (groups := layer.config["groups"]) > 1:
            kernel = kernel.reshape(groups, -1, *kernel.shape[1:])
        x = self._convolve(layer, inputs[0].channels_first(), kernel, "convolution")
        return self._finish(layer, _feature_map(x), shift)

    def _depthwise(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        x = inputs[0].channels_first()
        channels = x.get_partial_shape()[1].get_length() * layer.config["depth_multiplier"]
        kernel, shift = self._folded(layer, "kernel", channels)
        x = self._convolve(layer, x, _grouped(kernel), "depthwise")
        return self._finish(layer, _feature_map(x), shift)

    def _separable(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        depthwise = _grouped(self._weight(layer, "depthwise_kernel"))
        x = self._convolve(layer, inputs[0].channels_first(), depthwise, "depthwise")
        pointwise, shift = self._folded(layer, "pointwise_kernel", layer.config["filters"])
        x = op.convolution(
            _output(x), self._constant(pointwise.transpose(3, 2, 0, 1)),
            [1, 1], [0, 0], [0, 0], [1, 1], auto_pad="valid", name=f"{layer.name}_convolution",
        )  # fmt: skip
        return self._finish(layer, _feature_map(x), shift)

    def _convolve(self, layer: Layer, x: ov.Output, kernel: FloatArray, name: str) -> ov.Node:
        """A convolution, of groups of channels if the kernel has five axes."""
        convolve = op.group_convolution if kernel.ndim == 5 else op.convolution
        return convolve(
            x, self._constant(kernel), layer.config["strides"], [0, 0], [0, 0],
            layer.config["dilation_rate"], auto_pad=_padding(layer), name=f"{layer.name}_{name}",
        )  # fmt: skip

    def _dense(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        kernel, shift = self._folded(layer, "kernel", layer.config["units"])
        x = op.matmul(
            inputs[0].as_keras(), self._constant(kernel.T), False, True, name=f"{layer.name}_matmul"
        )
        return self._finish(layer, _Tensor(_output(x)), shift)

    def _finish(self, layer: Layer, x: _Tensor, shift: FloatArray) -> _Tensor:
        """Add a layer's shift and apply its own activation."""
        x = x.like(op.add(x.output, x.per_channel(shift), name=layer.name))
        activation = layer.config["activation"]
        if activation == "linear":
            return x
        return self._activate(layer, x, activation, f"{layer.name}_{activation}")

    # Activations

    def _activate(self, layer: Layer, x: _Tensor, activation: str, name: str) -> _Tensor:
        if activation == "linear":
            return x
        if activation == "softmax":
            node = op.softmax(x.output, x.channel_axis)
        elif activation in _ACTIVATIONS:
            node = _ACTIVATIONS[activation](x.output)
        else:
            raise self._unsupported(layer, f"the activation {activation}")
        node.set_friendly_name(name)
        return x.like(node)

    def _activation(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._activate(layer, inputs[0], str(layer.config["activation"]), layer.name)

    def _softmax(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._activate(layer, inputs[0], "softmax", layer.name)

    def _relu(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        (x,) = inputs
        slope, highest = layer.config["negative_slope"], layer.config.get("max_value")
        if layer.config.get("threshold") or (slope and highest is not None):
            raise self._unsupported(layer, "a ReLU with a threshold, or with slope and maximum")
        if slope:
            return x.like(op.prelu(x.output, np.array([slope], np.float32), name=layer.name))
        if highest is not None:
            return x.like(op.clamp(x.output, 0.0, highest, name=layer.name))
        return x.like(op.relu(x.output, name=layer.name))

    # Pooling and shapes

    def _max_pooling(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        config = layer.config
        node = op.max_pool(
            inputs[0].channels_first(), config["strides"], [1, 1], [0, 0], [0, 0],
            config["pool_size"], auto_pad=_padding(layer), name=layer.name,
        )  # fmt: skip
        return _feature_map(node)

    def _average_pooling(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        config = layer.config
        node = op.avg_pool(
            inputs[0].channels_first(), config["strides"], [0, 0], [0, 0],
            config["pool_size"], True, auto_pad=_padding(layer), name=layer.name,
        )  # fmt: skip
        return _feature_map(node)

    def _global_pooling(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        reduction = op.reduce_mean if "Average" in layer.kind else op.reduce_max
        keep = layer.config["keepdims"]
        x = inputs[0].channels_first()
        return _feature_map(reduction(x, np.array([2, 3]), keep_dims=keep, name=layer.name))

    def _zero_padding(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        (top, bottom), (left, right) = layer.config["padding"]
        node = op.pad(
            inputs[0].channels_first(), [0, 0, top, left], [0, 0, bottom, right], "constant",
            np.float32(0), name=layer.name,
        )  # fmt: skip
        return _feature_map(node)

    def _flatten(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._shaped(layer, inputs, [-1])

    def _reshape(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._shaped(layer, inputs, layer.config["target_shape"])

    def _shaped(self, layer: Layer, inputs: Sequence[_Tensor], shape: Sequence[int]) -> _Tensor:
        target = np.array([0, *shape], np.int64)  # 0: the batch's axis as it is
        return _Tensor(_output(op.reshape(inputs[0].as_keras(), target, True, name=layer.name)))

    def _same(self, _: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return inputs[0]

    # Several inputs

    def _sum(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._combined(layer, inputs, op.add)

    def _product(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        return self._combined(layer, inputs, op.multiply)

    def _combined(
        self, layer: Layer, inputs: Sequence[_Tensor], combine: Callable[[Any, Any], ov.Node]
    ) -> _Tensor:
        if len({x.rank for x in inputs}) > 1:
            raise self._unsupported(layer, "inputs with different numbers of axes")
        node: Any = reduce(combine, (x.channels_first() for x in inputs))
        if isinstance(node, ov.Node):
            node.set_friendly_name(layer.name)
            return _feature_map(node)
        return inputs[0]  # a sum of one

    def _concatenation(self, layer: Layer, inputs: Sequence[_Tensor]) -> _Tensor:
        axis = layer.config["axis"] % inputs[0].rank
        if inputs[0].rank == 4:
            axis = (0, 2, 3, 1)[axis]
        node = op.concat([x.channels_first() for x in inputs], axis, name=layer.name)
        return _feature_map(node)


def _grouped(kernel: FloatArray) -> FloatArray:
    """A depthwise kernel (h, w, C, m) as OpenVINO has it: (C, m, 1, h, w)."""
    return kernel.transpose(2, 3, 0, 1)[:, :, None]


def _padding(layer: Layer) -> str:
    return {"same": "same_upper", "valid": "valid"}[layer.config["padding"]]


_ACTIVATIONS: dict[str, Callable[[ov.Output], ov.Node]] = {
    "relu": op.relu,
    "relu6": lambda x: op.clamp(x, 0.0, 6.0),
    "leaky_relu": lambda x: op.prelu(x, np.array([0.2], np.float32)),
    "elu": lambda x: op.elu(x, 1.0),
    "gelu": lambda x: op.gelu(x, "erf"),
    "silu": op.swish,
    "hard_silu": op.hswish,
    "sigmoid": op.sigmoid,
    "hard_sigmoid": op.hsigmoid,
    "tanh": op.tanh,
    "softplus": op.softplus,
    "exponential": op.exp,
    "log1p": lambda x: op.log(op.add(x, np.float32(1))),
}
"""By their names in Keras, with the parameters that Keras gives them there."""

WEIGHTED = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"}
"""Layers with a kernel and a shift."""
_LAYERS: dict[str, Callable[[_Translator, Layer, Sequence[_Tensor]], _Tensor]] = {
    "InputLayer": _Translator._input,
    "Rescaling": _Translator._rescaling,
    "Conv2D": _Translator._convolution,
    "DepthwiseConv2D": _Translator._depthwise,
    "SeparableConv2D": _Translator._separable,
    "Dense": _Translator._dense,
    "BatchNormalization": _Translator._normalisation,
    "Activation": _Translator._activation,
    "ReLU": _Translator._relu,
    "Softmax": _Translator._softmax,
    "MaxPooling2D": _Translator._max_pooling,
    "AveragePooling2D": _Translator._average_pooling,
    "GlobalAveragePooling2D": _Translator._global_pooling,
    "GlobalMaxPooling2D": _Translator._global_pooling,
    "ZeroPadding2D": _Translator._zero_padding,
    "Flatten": _Translator._flatten,
    "Reshape": _Translator._reshape,
    "Dropout": _Translator._same,
    "SpatialDropout2D": _Translator._same,
    "Add": _Translator._sum,
    "Multiply": _Translator._product,
    "Concatenate": _Translator._concatenation,
}
SUPPORTED = frozenset(_LAYERS)
"""Keras layers that can be translated, by class name."""
