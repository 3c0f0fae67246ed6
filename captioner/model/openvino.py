"""The encoder on OpenVINO: built straight from the bundle's weights, quantised, and run.

This is the one module that imports OpenVINO. Keras and TensorFlow are not needed: the graph is
written with OpenVINO's own operators, batch normalisation folded into the convolutions.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op

from captioner.model.xception import BLOCKS, EPSILON
from captioner.types import FloatArray, PixelArray

PRECISIONS = ("int8", "bfloat16", "float32")


def build(arrays: Mapping[str, FloatArray], size: int) -> ov.Model:
    """Xception as an OpenVINO graph: uint8 (?, size, size, 3) → log(1 + pooled) (?, 2048) float32.

    Parameters
    ----------
    arrays
        The encoder's weights by the names of `captioner.model.networks.encoder_arrays`.
    """
    photo = op.parameter([-1, size, size, 3], ov.Type.u8, name="photo")
    x = op.convert(photo, "f32")
    x = op.subtract(op.multiply(x, np.float32(1 / 127.5)), np.float32(1))
    x = op.transpose(x, np.array([0, 3, 1, 2]))
    graph = _Graph(arrays)
    x = op.relu(graph.convolution(x, "block1_conv1", "block1_conv1_bn", stride=2, pad="valid"))
    x = op.relu(graph.convolution(x, "block1_conv2", "block1_conv2_bn", pad="valid"))
    for block in BLOCKS:
        inner = x
        for number in range(1, len(block.filters) + 1):
            name = f"block{block.number}_sepconv{number}"
            before = block.shortcut and (block.relu_first or number > 1)
            inner = graph.separable(op.relu(inner) if before else inner, name)
            if not block.shortcut:
                inner = op.relu(inner)
        if block.shortcut == "identity":
            x = op.add(inner, x)
        elif block.shortcut == "convolution":
            name = f"shortcut{block.number}"
            x = op.add(
                graph.halve(inner),
                graph.convolution(x, name, f"{name}_bn", stride=2, pad="same_upper"),
            )
        else:
            x = inner
    pooled = op.reduce_mean(x, np.array([2, 3]), keep_dims=False)
    feature = op.log(op.add(pooled, np.float32(1)))
    return ov.Model([op.result(feature)], [photo], "encoder")


class _Graph:
    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        self._arrays = arrays

    def _fold(self, bn: str) -> tuple[FloatArray, FloatArray]:
        get = self._arrays.__getitem__
        scale = get(f"{bn}.gamma") / np.sqrt(get(f"{bn}.moving_variance") + EPSILON)
        shift = get(f"{bn}.beta") - get(f"{bn}.moving_mean") * scale
        return scale.astype(np.float32), shift.astype(np.float32)

    def convolution(
        self, x: Any, name: str, bn: str, *, stride: int = 1, pad: str = "valid"
    ) -> Any:
        scale, shift = self._fold(bn)
        kernel = self._arrays[f"{name}.kernel"] * scale  # (h, w, in, out)
        out = op.convolution(
            x, np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
            [stride, stride], [0, 0], [0, 0], [1, 1], auto_pad=pad,
        )  # fmt: skip
        return op.add(out, shift[None, :, None, None])

    def separable(self, x: Any, name: str) -> Any:
        scale, shift = self._fold(f"{name}_bn")
        depthwise = self._arrays[f"{name}.depthwise_kernel"]
        x = op.group_convolution(
            x, np.ascontiguousarray(depthwise.transpose(2, 3, 0, 1)[:, :, None]),
            [1, 1], [0, 0], [0, 0], [1, 1], auto_pad="same_upper",
        )  # fmt: skip
        pointwise = self._arrays[f"{name}.pointwise_kernel"] * scale
        x = op.convolution(
            x, np.ascontiguousarray(pointwise.transpose(3, 2, 0, 1)),
            [1, 1], [0, 0], [0, 0], [1, 1], auto_pad="valid",
        )  # fmt: skip
        return op.add(x, shift[None, :, None, None])

    def halve(self, x: Any) -> Any:
        return op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3], auto_pad="same_upper").output(
            0
        )


def quantise(model: ov.Model, photos: Iterable[PixelArray]) -> ov.Model:
    """The graph in int8 by NNCF's post-training quantisation.

    Parameters
    ----------
    photos
        Training photos, uint8 (size, size, 3) each: they set the ranges of the activations.
    """
    import nncf

    samples = [photo[None] for photo in photos]
    with redirect_stdout(sys.stderr):  # NNCF shows its progress where our data goes
        return nncf.quantize(
            model,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
        )


def save(model: ov.Model, xml: Path) -> None:
    """Write `NAME.xml` and `NAME.bin`; what is not int8 is stored as float16."""
    ov.save_model(model, xml, compress_to_fp16=True)


def read(xml: Path) -> ov.Model:
    """A graph that `save` wrote."""
    return ov.Core().read_model(xml)


class OpenVINOEngine:
    """Encodes on the CPU: one compiled graph of static shape, several requests in flight.

    Parameters
    ----------
    model
        From `build`, `quantise` or `read`.
    precision
        "int8" and "float32" run the graph as it is; "bfloat16" lets CPUs that have it use it.
    batch_size
        Photos a request. Small batches stay in the cores' caches.
    cache
        Folder for the compiled graph, which makes the next start faster; None for no cache.
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
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            options["CACHE_DIR"] = str(cache)
        core = ov.Core()
        self._compiled = core.compile_model(model, "CPU", options)
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
