"""The hypernyms that the word head learns next to the concepts."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("keras")

from captioner.model.concepts import Concepts
from captioner.training.hypernyms import fit_hypernyms

pytestmark = pytest.mark.training

TABLE = {
    "concepts": [
        {"name": "zebra", "names": ["zebra"], "parents": [1]},
        {"name": "pug", "names": ["pug"], "parents": [0]},
        {"name": "beagle", "names": ["beagle"], "parents": [0]},
        {"name": "taxi", "names": ["taxi"], "parents": []},
    ],
    "kinds": [{"names": ["dog"], "parents": [1]}, {"names": ["animal"], "parents": []}],
}


def test_a_hypernym_is_probable_if_any_of_its_concepts_is():
    random = np.random.default_rng(0)
    shown = random.integers(4, size=6000)
    hidden = random.random((6000, 2, 16)).astype(np.float32) * 0.2
    # The learning rate suits hundreds of units; these few need larger values.
    hidden[np.arange(6000), :, shown] += 4
    probabilities = np.eye(4, dtype=np.float16)[shown]
    rows = fit_hypernyms(hidden, probabilities, Concepts(TABLE), seed=1)
    assert rows["kinds.kernel"].shape == (16, 2)
    logits = hidden[:, 0] @ rows["kinds.kernel"] + rows["kinds.bias"]
    dog, animal = np.isin(shown, [1, 2]), shown < 3
    assert ((logits[:, 0] > 0) == dog).mean() > 0.97
    assert ((logits[:, 1] > 0) == animal).mean() > 0.97
    again = fit_hypernyms(hidden, probabilities, Concepts(TABLE), seed=1)
    np.testing.assert_array_equal(rows["kinds.kernel"], again["kinds.kernel"])
