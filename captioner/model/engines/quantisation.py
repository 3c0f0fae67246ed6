"""The int8 graph: weights and activations rounded to 256 levels or fewer.

Weights are symmetric about zero with a range for each output channel, activations have the ranges
that calibration found, and the layers' shifts are corrected for what rounding does to their mean
(Nagel et al. 2021, "A White Paper on Neural Network Quantization"). A bundle keeps what calibration
found as arrays, named by the nodes of the graph that `translate` writes:

- NODE/fq_output_PORT or NODE/fq_input_PORT: the lowest and the highest value there, (2, 1) or
  (2, channels);
- LAYER/shift: what takes the place of the layer's bias, (channels,).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino as ov
import openvino.opset13 as op

from captioner.errors import CaptionerError
from captioner.types import FloatArray

OUTPUT, INPUT, _SHIFT = "/fq_output_", "/fq_input_", "/shift"


def shift_name(layer: str) -> str:
    """The name of a layer's corrected shift among the activation ranges."""
    return f"{layer}{_SHIFT}"


def quantise_weights(kernel: FloatArray, bits: int) -> ov.Node:
    """Weights rounded to int8 values, symmetric about zero, with a range for each output channel.

    A CPU with AVX2 but without VNNI adds two products of an activation (8 bits) and a weight in 16
    bits (the instruction vpmaddubsw), and a sum that does not fit saturates. With weights of 7 bits
    it always fits, and every CPU computes the same.

    Parameters
    ----------
    kernel
        Its first axis is the output channels.
    bits
        8, or 7 for weights from -63 to 63.
    """
    high = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)), keepdims=True)
    high = np.maximum(high, np.float32(1e-8))
    if bits == 7:
        # A little more than twice: the largest weight would be halfway between 63 and 64, and the
        # way it is rounded differs between machines.
        high = high * np.float32(2.0002)
    # A constant takes the array as it is; from a plain array OpenVINO would make a list first.
    low, high = op.constant(-high), op.constant(high)
    return op.fake_quantize(op.constant(kernel), low, high, low, high, 255)


def limit_activations(model: ov.Model, activation_ranges: Mapping[str, FloatArray]) -> None:
    """Round activations to 256 levels at the calibrated places: OpenVINO then runs in int8.

    Raises
    ------
    CaptionerError
        If the ranges are of another graph.
    """
    nodes = {node.get_friendly_name(): node for node in model.get_ops()}
    for place, limits in activation_ranges.items():
        if place.endswith(_SHIFT):
            continue
        name, _, port = place.partition(OUTPUT if OUTPUT in place else INPUT)
        if name not in nodes:
            raise CaptionerError(
                f"the activation ranges do not fit the encoder: it has no node {name}.",
                "Use --precision float32, or make the bundle again with `captioner train`.",
            )
        node = nodes[name]
        inputs = (
            list(node.output(int(port)).get_target_inputs())
            if OUTPUT in place
            else [node.input(int(port))]
        )
        source = inputs[0].get_source_output()
        shape = (1, -1, *[1] * (len(source.get_partial_shape()) - 2))
        low, high = (side.reshape(shape) if side.size > 1 else side[0] for side in limits)
        rounded = op.fake_quantize(source, low, high, low, high, 256)
        for one in inputs:
            one.replace_source_output(rounded.output(0))
