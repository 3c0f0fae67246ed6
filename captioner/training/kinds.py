"""Kinds: rows of the word head for what concepts are, so that a search for "animal" reads one row.

A photo shows an animal where it shows any of 398 concepts. To read all of these off every photo of
a library takes too long, so the head learns each kind as a class of its own, on its finished hidden
layer: nothing else of the model changes by it.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from captioner.model.concepts import Concepts
from captioner.training.run import Arrays
from captioner.types import FloatArray, HalfArray

EPOCHS, BATCH, RATE = 20, 512, 3e-3


def fit_kinds(hidden: FloatArray, told: HalfArray, concepts: Concepts, *, seed: int) -> Arrays:
    """Learn the rows of the kinds by logistic regression.

    Parameters
    ----------
    hidden
        (photos, views, H): the word head's hidden layer.
    told
        (photos, concepts): what the teacher says. A photo's probabilities add up to 1, so that of a
        kind is the sum of those of its concepts.

    Returns
    -------
    `kinds.kernel` (H, kinds) and `kinds.bias`.
    """
    targets = np.clip(told.astype(np.float32) @ concepts.hypernyms, 0, 1)
    usual = np.clip(targets.mean(axis=0), 1e-5, 1 - 1e-5)
    keras.utils.set_random_seed(seed)
    row = layers.Dense(
        targets.shape[1],
        bias_initializer=lambda shape, dtype=None: np.log(usual / (1 - usual)),
        kernel_initializer="zeros",
    )
    model = keras.Sequential([keras.Input(hidden.shape[2:]), layers.Dropout(0.4), row])
    views = hidden.shape[1]
    steps = EPOCHS * -(-len(hidden) * views // BATCH)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps)),
        loss=lambda y, logits: keras.ops.sum(
            keras.ops.softplus(logits) - logits * keras.ops.cast(y, "float32"), axis=-1
        ),
        jit_compile=False,
    )
    model.fit(
        hidden.reshape(-1, hidden.shape[2]),
        targets.repeat(views, axis=0),
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
    )
    numpy = keras.ops.convert_to_numpy
    return {"kinds.kernel": numpy(row.kernel), "kinds.bias": numpy(row.bias)}
