"""The OpenVINO engine: runs an encoder's graph on the CPU."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from captioner.model.encoders import StoredEncoder, TrainedEncoder
from captioner.model.engines.compiled import compile_cached
from captioner.types import Features, PixelArray

_TRANSLATOR = ("translate", "quantisation")
"""The modules that decide which graph is made from an encoder."""


class OpenVINOEngine:
    """Encodes on the CPU: one compiled graph of static shape, several requests in flight.

    Parameters
    ----------
    encoder
        With its weights; for "int8" also with its activation ranges. Of one in a bundle no weights
        are read if the cache has its graph.
    precision
        Arithmetic: "int8", "bfloat16" (float32 on CPUs without it) or "float32".
    batch_size
        Photos per request. Small batches stay in the cores' caches.
    grid
        Compute the feature map as well.
    few
        Whether few photos are to be encoded: each then gets all cores, and the start is faster.
        Otherwise all cores are kept busy by several photos at once.
    cache
        Folder for compiled graphs of encoders in bundles, which make the next start faster; None
        for no cache. If it cannot be written, each start compiles.

    Raises
    ------
    CaptionerError
        If the encoder has a layer that OpenVINO cannot run.
    """

    def __init__(
        self,
        encoder: TrainedEncoder | StoredEncoder,
        *,
        precision: str,
        batch_size: int,
        grid: bool = False,
        few: bool = False,
        cache: Path | None = None,
    ) -> None:
        self.batch_size = batch_size
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY" if few else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        }

        def translated() -> ov.Model:
            from captioner.model.engines.translate import translate

            trained = encoder.read() if isinstance(encoder, StoredEncoder) else encoder
            model = translate(trained, int8=precision == "int8", grid=grid)
            model.reshape([batch_size, trained.size, trained.size, 3])
            return model

        core = ov.Core()
        if cache and isinstance(encoder, StoredEncoder):
            source = json.dumps([encoder.digest, precision == "int8", grid, batch_size])
            self._compiled = compile_cached(
                core, source + _translator_digest(), translated, options, cache
            )
        else:
            self._compiled = core.compile_model(translated(), "CPU", options)
        self.requests = int(self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        if precision == "bfloat16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            precision = "float32"  # what OpenVINO uses then, without a warning
        self.name = f"OpenVINO {precision}"

    def encode(self, batches: Iterable[PixelArray]) -> Iterator[Features]:
        """Features of each batch, in order, while the next batches are already being encoded.

        A short batch is padded with zeros to the static shape.
        """
        idle = [self._compiled.create_infer_request() for _ in range(self.requests + 1)]
        running: deque[tuple[ov.InferRequest, int]] = deque()

        def finish() -> Features:
            request, count = running.popleft()
            request.wait()
            idle.append(request)
            # Copied, as the next request writes into the same memory.
            outputs = (np.array(t.data[:count], np.float32) for t in request.output_tensors)
            return Features(*outputs)

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


def _translator_digest() -> str:
    """Digest of the code that translates, so that after a change of it no earlier graph is used."""
    found = hashlib.sha256()
    for name in _TRANSLATOR:
        spec: Any = importlib.util.find_spec(f"captioner.model.engines.{name}")
        found.update(spec.loader.get_data(spec.origin))
    return found.hexdigest()
