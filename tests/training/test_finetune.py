"""Fine-tuning: batches that do not depend on threads, the batch size of a device, and steps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import colour_describer
import numpy as np
import pytest

pytestmark = pytest.mark.training

keras = pytest.importorskip("keras")
finetune = pytest.importorskip("captioner.training.finetune")

COLOURS = ("red", "green", "blue")
SIZE = 64


@pytest.fixture(scope="module")
def lexicon() -> Any:
    from captioner.training.heads import Lexicon

    return Lexicon(COLOURS, COLOURS, ("", *COLOURS))


@pytest.fixture(scope="module")
def targets(lexicon: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from captioner.training.corpora import Example
    from captioner.training.heads import TrainingTargets

    folder = tmp_path_factory.mktemp("photos")
    examples = []
    for number in range(12):
        colour = COLOURS[number % 3]
        file = folder / f"{number:02}.jpg"
        colour_describer.photo(file, colour)
        examples.append(Example(file, (f"a {colour} photo",) * 2, "train"))
    return TrainingTargets.of(examples, lexicon)


def batches(targets: Any, threads: int | None = None) -> Any:
    made = finetune.PixelBatches(targets, photo_size=SIZE, size=4, seed=3)
    if threads:
        made._pool = ThreadPoolExecutor(threads)
    return made


def test_a_batch_depends_on_epoch_and_step_alone(targets: Any) -> None:
    assert batches(targets).steps == 3
    wanted = [(epoch, step) for epoch in range(2) for step in range(3)]
    expected = [batches(targets, threads=1)(*which) for which in wanted]
    many = batches(targets, threads=7)
    with ThreadPoolExecutor(2) as ahead:
        found = list(ahead.map(lambda which: many(*which), wanted))
    for (ours, our_labels), (theirs, their_labels) in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name])
        np.testing.assert_array_equal(our_labels, their_labels)
    assert not np.array_equal(expected[0][0]["photo"], expected[1][0]["photo"])


@pytest.mark.parametrize(
    ("free", "size", "batch"),
    [(None, 192, 64), (130 << 30, 192, 256), (24 << 30, 192, 128), (6 << 30, 192, 32),
     (6 << 30, 384, 8), (1 << 20, 192, 8)],
)  # fmt: skip
def test_batch_size_by_free_memory(free: int | None, size: int, batch: int) -> None:
    from captioner.model.backend.interface import Device

    assert finetune.batch_for([Device("gpu:0", "H1", free)], size) == batch


def test_batch_size_without_a_gpu() -> None:
    assert finetune.batch_for([], 192) == 32


def test_steps_change_the_encoder_but_not_its_normalisation(lexicon: Any, targets: Any) -> None:
    import toy_encoder

    from captioner.model.encoders import TrainedEncoder, get_weights
    from captioner.training.encoders import fine_tuning

    keras.utils.set_random_seed(4)
    trained = TrainedEncoder.of(toy_encoder, SIZE)
    model = fine_tuning(trained, lexicon, 1, SIZE)
    model.compile_for(0.01)
    pixels = batches(targets)
    model(pixels(0, 0)[0])
    losses = [
        float(model.train_on_batch(*pixels(0, 0), return_dict=True)["loss"]) for _ in range(12)
    ]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    before, after = trained.weights, get_weights(model.encoder)
    changed = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    assert {"deeper.kernel", "deep.pointwise_kernel"} <= changed
    assert not any(name.startswith(("conv.", "deep_bn.")) for name in changed)
