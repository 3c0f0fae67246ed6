"""(k) The encoder and its fine-tuning on this machine's GPU, by each back end of Keras.

Photos per second from batches of pixels in memory to features in memory, and the seconds to the
first batch, for Keras on PyTorch, JAX and TensorFlow as captioner runs it (the average of several
batches in a row, the best of the repeats), next to an Xception written by hand in PyTorch: batch
normalisation folded, channels last, bfloat16 on GPUs, the same batch size. Then photos per second
of fine-tuning: decoding and augmenting random JPEGs, and training steps of all blocks with the
heads.

Each back end runs in a process of its own; those that are not installed are skipped. Without a GPU
it measures a tiny form on the CPU, which shows that everything runs, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import common

BACKENDS = ("torch", "jax", "tensorflow")
BASELINE = "baseline"
FINE_TUNE_SIZE = 192


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common.add_run_options(parser, repeats=3)
    parser.add_argument("--batches", type=int, default=20, metavar="N", help="in a row (20)")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="of fine-tuning (20)")
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="photos per batch; default: by free memory"
    )
    parser.add_argument(
        "--only", choices=(BASELINE, *BACKENDS), action="append", help="measure this (repeatable)"
    )
    parser.add_argument("--no-training", action="store_true", help="leave out fine-tuning")
    parser.add_argument("--worker", choices=(BASELINE, *BACKENDS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options)))
        return
    rows, notes = [], []
    for name in options.only or (BASELINE, *BACKENDS):
        module = "torch" if name == BASELINE else name
        if not find_spec(module):
            notes.append(f"{name} is skipped: {module} is not installed.")
            continue
        common.progress(name)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:], "--worker", name],
            capture_output=True, text=True, check=False,
            env={**os.environ, "KERAS_BACKEND": module},
        )  # fmt: skip
        if done.returncode:
            last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            notes.append(f"{name} failed: {last[-1]}")
        else:
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    common.progress("")
    report(rows, notes, as_json=options.json)


def report(rows: list[dict[str, Any]], notes: list[str], *, as_json: bool) -> None:
    """Print a table in Markdown, the baseline's rate being 1."""
    baseline = next((row["photos/s"] for row in rows if row["name"] == BASELINE), None)
    for row in rows:
        row["× baseline"] = row["photos/s"] / baseline if baseline else None
    if as_json:
        print(json.dumps({"rows": rows, "notes": notes, "machine": common.machine()}))
        return
    columns = [
        "name", "device", "batch", "built s", "first batch s", "photos/s", "× baseline",
        "fine-tuning batch", "first step s", "fine-tuning photos/s",
    ]  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(common.shown(row.get(column)) for column in columns)} |")
    for note in [*notes, common.machine()]:
        print(f"\n{note}")


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    from captioner.app_paths import bundle_folder
    from captioner.model.bundle import Bundle
    from captioner.model.encoders import TrainedEncoder

    trained = TrainedEncoder.read(Bundle.open(bundle_folder(options.model)), int8=False)
    if name == BASELINE:
        return baseline(trained, options)
    start = perf_counter()
    from captioner.model.backend import runtime
    from captioner.model.engines.keras import KerasEngine

    gpus = runtime().gpus()
    batch = options.batch_size or (None if gpus else 4)
    engine = KerasEngine(trained, batch_size=batch, devices=gpus)
    built = perf_counter() - start
    row = {"name": f"Keras on {runtime().label}", "device": engine.name.split(", ", 1)[1]}
    row |= encoding(
        lambda batches: sum(len(features) for features in engine.encode(batches)),
        trained.size, engine.batch_size, options, on_gpu=bool(gpus),
    )  # fmt: skip
    # An engine on a GPU has encoded its first batch when it is built.
    row |= {"built s": built, "first batch s": built if gpus else row["first batch s"]}
    if not options.no_training:
        row |= training(trained, options, gpus)
    return row


def encoding(
    encode: Callable[[Any], int],
    size: int,
    batch: int,
    options: argparse.Namespace,
    *,
    on_gpu: bool,
) -> dict[str, Any]:
    """Photos per second, and seconds to the first batch."""
    pixels = np.random.default_rng(1).integers(0, 256, (batch, size, size, 3), np.uint8)
    first = common.seconds(lambda: encode([pixels]))
    batches = options.batches if on_gpu else 2
    best = min(
        common.seconds(lambda: encode(repeat(pixels, batches))) for _ in range(options.repeats)
    )
    return {"batch": batch, "first batch s": first, "photos/s": batches * batch / best}


def training(trained: Any, options: argparse.Namespace, gpus: Any) -> dict[str, Any]:
    """Photos per second of fine-tuning all blocks, decoding and augmentation included."""
    from captioner.training import fit as loop
    from captioner.training.encoders import fine_tuning
    from captioner.training.finetune import PixelBatches, batch_for
    from captioner.training.fit import Schedule
    from captioner.training.progress import Silent

    size = options.batch_size or (batch_for(gpus, FINE_TUNE_SIZE) if gpus else 2)
    steps = options.steps if gpus else 2
    with tempfile.TemporaryDirectory(prefix="captioner-benchmark-") as scratch:
        folder = Path(scratch)
        lexicon, targets = made_up_targets(folder, 2 * size)
        model = fine_tuning(trained, lexicon, len(trained.encoder.stages), FINE_TUNE_SIZE)
        batches = PixelBatches(targets, photo_size=FINE_TUNE_SIZE, size=size, seed=1)
        model.compile_for(1e-5)
        model(batches(0, 0)[0])
        moments: list[float] = []
        train = model.train_on_batch

        def timed(*words: Any, **named: Any) -> Any:
            result = train(*words, **named)
            moments.append(perf_counter())
            return result

        model.train_on_batch = timed
        start = perf_counter()
        loop.fit(
            model, lambda _, step: batches(step // batches.steps, step % batches.steps),
            Schedule(1, steps + 1, 1e-5), validate=lambda: {"none": 0.0}, metric="none",
            folder=folder / "part", resume=False, progress=Silent(),
        )  # fmt: skip
    return {
        "fine-tuning batch": size,
        "first step s": moments[0] - start,
        "fine-tuning photos/s": steps * size / (moments[-1] - moments[0]),
    }


def made_up_targets(folder: Path, count: int) -> tuple[Any, Any]:
    """A lexicon, and targets of JPEGs of 500 × 375 pixels with captions of common words."""
    from captioner.training.corpora import Example
    from captioner.training.heads import Lexicon, TrainingTargets

    random = np.random.default_rng(1)
    words = [f"word{number}" for number in range(2000)]
    examples = []
    for number in range(max(count, 1300)):
        file = folder / f"{number % 64:02}.jpg"
        if number < 64:
            small = random.integers(0, 256, (38, 50, 3), np.uint8)
            Image.fromarray(small).resize((500, 375)).save(file, quality=90)
        captions = tuple(" ".join(random.choice(words, 10)) for _ in range(5))
        examples.append(Example(file, captions, "train"))
    lexicon = Lexicon.from_captions([text for one in examples for text in one.captions])
    return lexicon, TrainingTargets.of(examples, lexicon)


def baseline(trained: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The hand-written Xception, on the first GPU."""
    import torch

    from captioner.model.backend.torch import cpus, gpus
    from captioner.model.engines.keras import batch_for

    device = (*gpus(), *cpus())[0]
    batch = options.batch_size or (batch_for(device, trained.size) if device.is_gpu else 4)
    start = perf_counter()
    network = Xception(trained.weights, device.name.replace("gpu", "cuda"))
    built = perf_counter() - start
    torch.backends.cudnn.benchmark = True

    def encode(batches: Any) -> int:
        """Two batches in flight, as the engine has them."""
        count, running = 0, []
        for pixels in batches:
            running.append(network(pixels))
            if len(running) > 1:
                count += len(running.pop(0).cpu())
        return count + sum(len(features.cpu()) for features in running)

    row = {"name": BASELINE, "device": device.label, "built s": built}
    return row | encoding(encode, trained.size, batch, options, on_gpu=device.is_gpu)


class Xception:
    """Written by hand in PyTorch: what the engines are compared with."""

    BLOCKS = (
        (2, 2, "halving"), (3, 2, "halving"), (4, 2, "halving"),
        *((number, 3, "residual") for number in range(5, 13)),
        (13, 2, "halving"), (14, 2, "plain"),
    )  # fmt: skip

    def __init__(self, weights: Any, device: str) -> None:
        import torch

        self._torch, self._device = torch, torch.device(device)
        self._dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._weights: dict[str, Any] = {}
        for path, kernel in weights.items():
            name, _, kind = path.partition(".")
            if not kind.endswith("kernel"):
                continue
            if kind == "depthwise_kernel":
                self._keep(f"{name}.depthwise", kernel.transpose(2, 3, 0, 1))
                continue
            normalisation = f"{name}_bn"
            scale = weights[f"{normalisation}.gamma"] / np.sqrt(
                weights[f"{normalisation}.moving_variance"] + 1e-3
            )
            shift = weights[f"{normalisation}.beta"]
            shift = shift - weights[f"{normalisation}.moving_mean"] * scale
            self._keep(f"{name}.kernel", (kernel * scale).transpose(3, 2, 0, 1))
            self._keep(f"{name}.bias", shift)

    def _keep(self, name: str, array: Any) -> None:
        tensor = self._torch.tensor(np.ascontiguousarray(array), dtype=self._dtype)
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=self._torch.channels_last)
        self._weights[name] = tensor.to(self._device)

    def __call__(self, pixels: Any) -> Any:
        """Start a batch: uint8 (N, size, size, 3) → features (N, 2048) on the device."""
        with self._torch.inference_mode():
            host = self._torch.from_numpy(pixels)
            if self._device.type == "cuda":
                host = host.pin_memory()
            photos = host.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
            return self._features(photos.to(self._dtype) / 127.5 - 1)

    def _features(self, x: Any) -> Any:
        functional = self._torch.nn.functional
        x = functional.relu_(self._convolve(x, "block1_conv1", stride=2))
        x = functional.relu_(self._convolve(x, "block1_conv2"))
        for number, count, kind in self.BLOCKS:
            shortcut = x
            for layer in range(1, count + 1):
                if kind != "plain" and (number > 2 or layer > 1):
                    x = functional.relu(x)
                x = self._separable(x, f"block{number}_sepconv{layer}")
                if kind == "plain":
                    x = functional.relu_(x)
            if kind == "residual":
                x = x + shortcut
            elif kind == "halving":
                x = functional.max_pool2d(self._padded(x), 3, 2)
                x = x + self._convolve(shortcut, f"shortcut{number}", stride=2)
        return self._torch.log1p(x.float().mean((2, 3)))

    def _padded(self, x: Any) -> Any:
        side = x.shape[-1]
        total = max(0, (-(-side // 2) - 1) * 2 + 3 - side)
        sides = (total // 2, total - total // 2) * 2
        return self._torch.nn.functional.pad(x, sides, value=float("-inf"))

    def _convolve(self, x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = self._weights[f"{name}.kernel"], self._weights[f"{name}.bias"]
        return self._torch.nn.functional.conv2d(x, kernel, bias, stride=stride)

    def _separable(self, x: Any, name: str) -> Any:
        kernel = self._weights[f"{name}.depthwise"]
        convolve = self._torch.nn.functional.conv2d
        return self._convolve(convolve(x, kernel, padding=1, groups=len(kernel)), name)


if __name__ == "__main__":
    common.run(main)
