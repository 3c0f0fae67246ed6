"""The encoder on OpenVINO: built straight from the bundle's weights, quantised, and run.

This is the one module that imports OpenVINO. Keras and TensorFlow are not needed: the graph is
written with OpenVINO's own operators, batch normalisation folded into the convolutions.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op

from captioner.model.compiled import compile_cached
from captioner.model.xception import BLOCKS, EPSILON
from captioner.types import FloatArray, PixelArray

PRECISIONS = ("int8", "bfloat16", "float32")


def build(
    arrays: Mapping[str, FloatArray], size: int, ranges: Mapping[str, FloatArray] | None = None
) -> ov.Model:
    """Xception as an OpenVINO graph: uint8 (?, size, size, 3) → log(1 + pooled) (?, 2048) float32.

    Parameters
    ----------
    arrays
        The encoder's weights by the names of `captioner.model.networks.encoder_arrays`.
    ranges
        From `calibrate`: makes it the int8 graph.
    """
    photo = op.parameter([-1, size, size, 3], ov.Type.u8, name="photo")
    x = op.multiply(op.convert(photo, "f32"), np.float32(1 / 127.5))
    x = op.transpose(op.subtract(x, np.float32(1), name="scale"), np.array([0, 3, 1, 2]))
    graph = _Graph(arrays, ranges or {})
    for name, stride in (("block1_conv1", 2), ("block1_conv2", 1)):
        x = graph.convolution(x, name, f"{name}_bn", stride=stride, pad="valid")
        x = op.relu(x, name=f"{name}_relu")
    for block in BLOCKS:
        inner = x
        for number in range(1, len(block.filters) + 1):
            name = f"block{block.number}_sepconv{number}"
            if block.shortcut and (block.relu_first or number > 1):
                inner = op.relu(inner, name=f"{name}_relu")
            inner = graph.separable(inner, name)
            if not block.shortcut:
                inner = op.relu(inner, name=f"{name}_relu")
        if block.shortcut == "convolution":
            name = f"shortcut{block.number}"
            inner = graph.halve(inner)
            x = graph.convolution(x, name, f"{name}_bn", stride=2, pad="same_upper")
        x = op.add(inner, x, name=f"block{block.number}") if block.shortcut else inner
    pooled = op.reduce_mean(x, np.array([2, 3]), keep_dims=False)
    feature = op.log(op.add(pooled, np.float32(1)))
    model = ov.Model([op.result(feature)], [photo], "encoder")
    if ranges:
        _limit(model, ranges)
    return model


class _Graph:
    """Writes the layers; in the int8 graph their weights are rounded and their shifts corrected."""

    def __init__(self, arrays: Mapping[str, FloatArray], ranges: Mapping[str, FloatArray]) -> None:
        self._arrays, self._ranges = arrays, ranges

    def _fold(self, bn: str) -> tuple[FloatArray, FloatArray]:
        get = self._arrays.__getitem__
        scale = get(f"{bn}.gamma") / np.sqrt(get(f"{bn}.moving_variance") + EPSILON)
        shift = get(f"{bn}.beta") - get(f"{bn}.moving_mean") * scale
        return scale.astype(np.float32), shift.astype(np.float32)

    def convolution(
        self, x: Any, name: str, bn: str, *, stride: int = 1, pad: str = "valid"
    ) -> Any:
        scale, shift = self._fold(bn)
        kernel = (self._arrays[f"{name}.kernel"] * scale).transpose(3, 2, 0, 1)
        return self._shifted(x, kernel, shift, name, stride, pad)

    def separable(self, x: Any, name: str) -> Any:
        scale, shift = self._fold(f"{name}_bn")
        depthwise = self._arrays[f"{name}.depthwise_kernel"].transpose(2, 3, 0, 1)[:, :, None]
        x = op.group_convolution(
            x, self._weights(depthwise),
            [1, 1], [0, 0], [0, 0], [1, 1], auto_pad="same_upper", name=f"{name}_depthwise",
        )  # fmt: skip
        pointwise = (self._arrays[f"{name}.pointwise_kernel"] * scale).transpose(3, 2, 0, 1)
        return self._shifted(x, pointwise, shift, name, 1, "valid")

    def _shifted(
        self, x: Any, kernel: FloatArray, shift: FloatArray, name: str, stride: int, pad: str
    ) -> Any:
        out = op.convolution(
            x, self._weights(kernel),
            [stride, stride], [0, 0], [0, 0], [1, 1], auto_pad=pad, name=f"{name}_convolution",
        )  # fmt: skip
        shift = self._ranges.get(f"{name}{_SHIFT}", shift)
        return op.add(out, shift[None, :, None, None], name=name)

    def _weights(self, kernel: FloatArray) -> Any:
        kernel = np.ascontiguousarray(kernel)
        if not self._ranges:
            return op.constant(kernel)
        # Each output channel has a range of its own, symmetric about zero.
        high = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)), keepdims=True)
        high = np.maximum(high, np.float32(1e-8))
        return op.fake_quantize(kernel, -high, high, -high, high, 255)

    def halve(self, x: Any) -> Any:
        return op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3], auto_pad="same_upper").output(
            0
        )


# Names in what `calibrate` finds: a node's output or one of its inputs, and a layer's shift.
_OUTPUT, _INPUT, _SHIFT = "/fq_output_", "/fq_input_", "/shift"


def calibrate(
    arrays: Mapping[str, FloatArray], size: int, photos: Iterable[PixelArray]
) -> dict[str, FloatArray]:
    """What int8 needs beside the weights, by NNCF's post-training quantisation.

    The ranges of the activations, (2,) or (2, channels) by the place in the graph where they are
    rounded, and the shifts of the layers, corrected for what rounding does to their mean.

    Parameters
    ----------
    photos
        Training photos, uint8 (size, size, 3) each.
    """
    import nncf

    samples = [photo[None] for photo in photos]
    with redirect_stdout(io.StringIO()):  # NNCF shows its own progress bars
        model = nncf.quantize(
            build(arrays, size),
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            # It would move weights between layers, and the bundle holds one set of weights.
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_channel_alignment=True),
        )
    found: dict[str, FloatArray] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if node.get_type_name() == "FakeQuantize" and (_OUTPUT in name or _INPUT in name):
            low, high = (node.input_value(port).get_node().data for port in (1, 2))
            found[name] = np.stack([low.ravel(), high.ravel()]).astype(np.float32)
        elif f"{name}.kernel" in arrays or f"{name}.pointwise_kernel" in arrays:
            shift = node.input_value(1).get_node()
            if shift.get_type_name() == "Convert":  # stored in half precision
                shift = shift.input_value(0).get_node()
            found[f"{name}{_SHIFT}"] = shift.data.ravel().astype(np.float32)
    return found


def _limit(model: ov.Model, ranges: Mapping[str, FloatArray]) -> None:
    """Round activations to 256 levels where `calibrate` says: OpenVINO then runs int8."""
    nodes = {node.get_friendly_name(): node for node in model.get_ops()}
    for place, limits in ranges.items():
        if place.endswith(_SHIFT):
            continue
        name, _, port = place.partition(_OUTPUT if _OUTPUT in place else _INPUT)
        node = nodes[name]
        inputs = (
            list(node.output(int(port)).get_target_inputs())
            if _OUTPUT in place
            else [node.input(int(port))]
        )
        low, high = (side.reshape(1, -1, 1, 1) if side.size > 1 else side[0] for side in limits)
        source = inputs[0].get_source_output()
        rounded = op.fake_quantize(source, low, high, low, high, 256)
        for one in inputs:
            one.replace_source_output(rounded.output(0))


class OpenVINOEngine:
    """Encodes on the CPU: one compiled graph of static shape, several requests in flight.

    Parameters
    ----------
    model
        From `build`.
    precision
        "int8" and "float32" run the graph as it is; "bfloat16" lets CPUs that have it use it.
    batch_size
        Photos a request. Small batches stay in the cores' caches.
    cache
        Folder for compiled graphs, which make the next start faster; None for no cache. Without
        one that can be written, each start compiles.
    """

    def __init__(
        self,
        model: ov.Model,
        *,
        precision: str,
        batch_size: int,
        cache: Path | None = None,
    ) -> None:
        self.batch_size = batch_size
        model = model.clone()
        shape = model.input(0).partial_shape
        model.reshape([batch_size, *(int(side.get_length()) for side in list(shape)[1:])])
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        }
        core = ov.Core()
        self._compiled = compile_cached(core, model, options, cache)
        self.requests = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            precision = "float32"  # what OpenVINO then takes, without a word
        self.name = f"OpenVINO {precision}"

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[FloatArray]:
        """Features of each batch, in order, while the next batches are already being encoded.

        A short batch is padded with zeros to the static shape.
        """
        idle = [self._compiled.create_infer_request() for _ in range(self.requests + 1)]
        running: deque[tuple[ov.InferRequest, int]] = deque()

        def finish() -> FloatArray:
            request, count = running.popleft()
            request.wait()
            idle.append(request)
            return np.array(request.get_output_tensor(0).data[:count], np.float32)

        for batch in batches:
            done = None if idle else finish()
            request = idle.pop()
            tensor = request.get_input_tensor(0).data
            tensor[: len(batch)] = batch
            tensor[len(batch) :] = 0
            request.start_async()
            running.append((request, len(batch)))
            if done is not None:
                yield done
        while running:
            yield finish()
