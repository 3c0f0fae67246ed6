"""(d) Throughput of the encoder engines, and how close int8 stays to float32.

Photos per second from batches of pixels in memory to features, at the bundle's input size and at
Xception's published 299 pixels: Keras on TensorFlow in float32 (batches of 8, the fastest on CPUs,
without XLA), and OpenVINO in float32, bfloat16 and int8 as captioner runs it. At 299 pixels the
int8 graph keeps the activation ranges of the bundle's size. The cosines compare each photo's
features with those of OpenVINO in float32 at the same size. Engines that are not available are
skipped, with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np

from benchmarks import common
from captioner.app_paths import bundle_folder
from captioner.model.bundle import Bundle
from captioner.model.encoders import TrainedEncoder
from captioner.model.engines import CPU_BATCH, Engine
from captioner.photos.read import read
from captioner.types import FloatArray, Photo, PixelArray

KERAS_BATCH = 8
KERAS, OPENVINO = "Keras float32", "OpenVINO float32"


def encode(engine: Engine, pixels: PixelArray) -> FloatArray:
    """Features (N, 2048) of photos (N, size, size, 3)."""
    firsts = range(0, len(pixels), engine.batch_size)
    batches = [pixels[first : first + engine.batch_size] for first in firsts]
    return np.concatenate([features.pooled for features in engine.encode(batches)])


def engines(bundle: Bundle, size: int, names: Sequence[str]) -> Iterator[tuple[str, Engine]]:
    """The engines of these names, for inputs of `size` × `size` pixels."""
    from captioner.model.engines.openvino import OpenVINOEngine

    trained = replace(TrainedEncoder.read(bundle), size=size)
    for name in names:
        if name == KERAS:
            from captioner.model.engines.keras import KerasEngine

            yield name, KerasEngine(trained, batch_size=KERAS_BATCH)
            continue
        precision = name.removeprefix("OpenVINO ")
        yield name, OpenVINOEngine(trained, precision=precision, batch_size=CPU_BATCH)


def available() -> tuple[list[str], list[str]]:
    """Names of the engines that run here, and a note about each that does not."""
    import openvino

    names, notes = [OPENVINO], []
    if common.keras_on_cpu():
        names.insert(0, KERAS)
    else:
        notes.append(f"{KERAS} is skipped: TensorFlow is not installed.")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        names.append("OpenVINO bfloat16")
    else:
        notes.append("OpenVINO bfloat16 is skipped: this processor does not support it.")
    return [*names, "OpenVINO int8"], notes


def main() -> None:
    options = common.arguments(__doc__, count=64, repeats=5).parse_args()
    bundle = Bundle.open(bundle_folder(options.model))
    names, notes = available()
    with common.photos(options.photos, options.count) as photos:
        rows: list[common.Row] = []
        for size in dict.fromkeys((bundle.size, common.PUBLISHED_SIZE)):
            rows += measure(bundle, photos, size, names, options.repeats)
    notes.append(f"{options.count} photos, {options.repeats} repeats.")
    common.report("Encoder engines", rows, notes, as_json=options.json)


def measure(
    bundle: Bundle, photos: Sequence[Photo], size: int, names: Sequence[str], repeats: int
) -> list[common.Row]:
    """A row for each engine at one size."""
    pixels = np.stack([read(photo, size).rgb for photo in photos])
    features: dict[str, FloatArray] = {}
    variants: dict[str, Callable[[int], float]] = {}

    def rate(engine: Engine, repeat: int) -> float:
        return len(pixels) / common.seconds(lambda: encode(engine, pixels))

    for name, engine in engines(bundle, size, names):
        features[name] = encode(engine, pixels)  # also warms up the engine
        variants[name] = partial(rate, engine)
    rates = common.side_by_side(repeats, variants)
    cosines = {name: _cosine(features[name], features[OPENVINO]) for name in names}
    return [
        {
            "engine": name,
            "px": size,
            "photos/s": median(rates[name]),
            **common.ratio(rates[name], rates[names[0]], f"× {names[0]}"),
            "mean cosine": float(cosines[name].mean()),
            "lowest cosine": float(cosines[name].min()),
        }
        for name in names
    ]


def _cosine(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.einsum("nd,nd->n", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


if __name__ == "__main__":
    common.run(main)
