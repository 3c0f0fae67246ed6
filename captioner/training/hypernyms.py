"""Training of the word head's hypernym rows, so that a search for "animal" reads a single row.

A photo shows an animal if it shows any of 398 concepts. Computing all of these for every photo of a
library takes too long, so each hypernym is learnt as a class of its own, on the finished hidden
layer of the word head: nothing else in the model changes.
"""

from __future__ import annotations

import numpy as np

from captioner.model.backend import keras, layers
from captioner.model.concepts import Concepts
from captioner.training.run import Arrays
from captioner.types import FloatArray, HalfArray

EPOCHS, BATCH, RATE = 20, 512, 3e-3


def fit_hypernyms(
    hidden: FloatArray, probabilities: HalfArray, concepts: Concepts, *, seed: int
) -> Arrays:
    """Fit one logistic regression per hypernym.

    Parameters
    ----------
    hidden
        float32 (photos, views, H): the word head's hidden layer.
    probabilities
        float16 (photos, concepts): the teacher's. A photo's sum to 1, so the probability of a
        hypernym is the sum over its concepts.

    Returns
    -------
    `kinds.kernel` (H, hypernyms) and `kinds.bias`: their names in a bundle.
    """
    targets = np.clip(probabilities.astype(np.float32) @ concepts.hypernyms, 0, 1)
    prior = np.clip(targets.mean(axis=0), 1e-5, 1 - 1e-5)
    keras.utils.set_random_seed(seed)
    output = layers.Dense(
        targets.shape[1],
        bias_initializer=lambda shape, dtype=None: np.log(prior / (1 - prior)),
        kernel_initializer="zeros",
    )
    model = keras.Sequential([keras.Input(hidden.shape[2:]), layers.Dropout(0.4), output])
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
    return {"kinds.kernel": numpy(output.kernel), "kinds.bias": numpy(output.bias)}
