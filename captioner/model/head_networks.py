"""The word head and the joint space as Keras networks, for training.

Their weights leave as dictionaries of float32 arrays, named as in the bundle and as
`captioner.model.heads` takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras

Arrays = dict[str, FloatArray]


def word_head(
    feature_size: int, stems: int, *, hidden: int = 512, dropout: float = 0.4
) -> keras.Model:
    """feature (N, D) → logits (N, stems): which word stems captions of the photo use."""
    from captioner.model.backend import keras

    layers = keras.layers
    feature = keras.Input((feature_size,), name="feature")
    hidden_layer = layers.Dropout(dropout, name="feature_dropout")(feature)
    hidden_layer = layers.Dense(hidden, activation="relu", name="hidden")(hidden_layer)
    hidden_layer = layers.Dropout(dropout, name="hidden_dropout")(hidden_layer)
    return keras.Model(feature, layers.Dense(stems, name="stems")(hidden_layer), name="word_head")


def word_head_arrays(model: keras.Model) -> Arrays:
    """A word head's weights by name."""
    from captioner.model.backend import keras

    numpy = keras.ops.convert_to_numpy
    return {
        f"{layer}.{part}": numpy(getattr(model.get_layer(layer), part))
        for layer in ("hidden", "stems")
        for part in ("kernel", "bias")
    }


def joint_image(feature_size: int, dimensions: int = 256, dropout: float = 0.3) -> keras.Model:
    """feature (N, D) → the photo's vector in the joint space (N, dimensions), of unit length."""
    from captioner.model.backend import keras

    layers = keras.layers
    feature = keras.Input((feature_size,), name="feature")
    vector = layers.Dropout(dropout, name="feature_dropout")(feature)
    vector = layers.Dense(dimensions, name="project")(vector)
    vector = layers.UnitNormalization(name="unit")(vector)
    return keras.Model(feature, vector, name="joint_image")


def joint_text(vocabulary: int, length: int, dimensions: int = 256) -> keras.Model:
    """Bags of words (N, length) → vectors (N, dimensions), of unit length.

    A weighted mean of word vectors, each word with a weight of its own; number 0 is no word.
    Searching then needs a lookup and a sum, and no engine.
    """
    from captioner.model.backend import keras

    layers, ops = keras.layers, keras.ops
    bag = keras.Input((length,), dtype="int32", name="bag")
    vectors = layers.Embedding(vocabulary, dimensions, name="vectors")(bag)
    weights = ops.softplus(
        layers.Embedding(vocabulary, 1, embeddings_initializer="ones", name="weights")(bag)
    )
    weights = weights * ops.cast(ops.expand_dims(bag, -1) > 0, "float32")
    mean = ops.sum(vectors * weights, axis=1) / (ops.sum(weights, axis=1) + 1e-6)
    mean = layers.Dropout(0.1, name="mean_dropout")(mean)
    vector = layers.UnitNormalization(name="unit")(layers.Dense(dimensions, name="project")(mean))
    return keras.Model(bag, vector, name="joint_text")


def joint_arrays(image: keras.Model, text: keras.Model) -> Arrays:
    """Both sides of the joint space; the text side folded into one vector and weight per word."""
    from captioner.model.backend import keras

    numpy = keras.ops.convert_to_numpy
    project = text.get_layer("project")
    vectors = numpy(text.get_layer("vectors").embeddings) @ numpy(project.kernel)
    weights = np.logaddexp(0, numpy(text.get_layer("weights").embeddings)[:, 0])
    return {
        "image.kernel": numpy(image.get_layer("project").kernel),
        "image.bias": numpy(image.get_layer("project").bias),
        "text.vectors": vectors,
        "text.weights": weights.astype(np.float32),
        "text.bias": numpy(project.bias),
    }
