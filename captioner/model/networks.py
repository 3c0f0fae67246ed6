"""Decoders and heads as Keras 3 models, for training on any backend.

Nothing here uses a backend's own functions. Weights leave and enter as dictionaries of float32
arrays, named as in the bundle.
"""

from __future__ import annotations

import os
import sqlite3  # noqa: F401  before TensorFlow, whose own SQLite, without FTS5, would take its place
from collections.abc import Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers, ops

from captioner.model.encoders import xception
from captioner.types import FloatArray

Arrays = dict[str, FloatArray]


def merge_decoder(
    vocabulary: int,
    length: int | None = None,
    *,
    embedding: int = 256,
    lstm: int = 512,
    fusion: int = 256,
    tied: bool = True,
    dropout: float = 0.5,
) -> keras.Model:
    """The merge decoder (Tanti, Gatt, Camilleri 2017) over whole sentences, for teacher forcing.

    feature (N, 2048) → Dropout → Dense, ReLU; tokens (N, length) → Embedding → Dropout → LSTM;
    add → Dense, ReLU → logits (N, length, vocabulary), one row for the word after each token.

    Parameters
    ----------
    tied
        The output layer shares the embedding's vectors (Press and Wolf 2017); needs
        `fusion == embedding`.
    """
    feature = keras.Input((xception.feature_size,), name="feature")
    tokens = keras.Input((length,), dtype="int32", name="tokens")
    image = layers.Dropout(dropout, name="image_dropout")(feature)
    image = layers.Dense(lstm, activation="relu", name="image")(image)
    words = layers.Embedding(
        vocabulary,
        embedding,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05),
        name="embedding",
    )
    language = layers.Dropout(dropout, name="word_dropout")(words(tokens))
    # Right padding: what follows the end mark changes no loss, so no mask is needed and the
    # whole sentence is one pass. `implementation=2`-like fused gates are Keras' only form.
    language = layers.LSTM(lstm, return_sequences=True, name="lstm")(language)
    language = layers.Dropout(dropout, name="language_dropout")(language)
    merged = language + ops.expand_dims(image, 1)
    merged = layers.Dense(fusion, activation="relu", name="fusion")(merged)
    merged = layers.Dropout(dropout / 2, name="fusion_dropout")(merged)
    logits = (
        _TiedOutput(words, name="output")(merged)
        if tied
        else layers.Dense(vocabulary, name="output")(merged)
    )
    return keras.Model({"feature": feature, "tokens": tokens}, logits, name="merge_decoder")


@keras.saving.register_keras_serializable("captioner")
class _TiedOutput(layers.Layer):
    def __init__(self, embedding: layers.Embedding, **options: object) -> None:
        super().__init__(**options)
        self._embedding = embedding

    def build(self, shape: object) -> None:
        self.bias = self.add_weight(
            shape=(self._embedding.input_dim,), initializer="zeros", name="bias"
        )

    def call(self, merged: object) -> object:
        return ops.matmul(merged, ops.transpose(self._embedding.embeddings)) + self.bias


def decoder_arrays(model: keras.Model) -> Arrays:
    """A merge decoder's weights, named as `captioner.model.decoder` reads them."""
    numpy = keras.ops.convert_to_numpy
    kernel, recurrent, bias = (numpy(w) for w in model.get_layer("lstm").weights)
    arrays = {
        "embedding": numpy(model.get_layer("embedding").embeddings),
        "lstm.kernel": kernel,
        "lstm.recurrent": recurrent,
        "lstm.bias": bias,
        "image.kernel": numpy(model.get_layer("image").kernel),
        "image.bias": numpy(model.get_layer("image").bias),
        "fusion.kernel": numpy(model.get_layer("fusion").kernel),
        "fusion.bias": numpy(model.get_layer("fusion").bias),
        "output.bias": numpy(model.get_layer("output").bias),
    }
    output = model.get_layer("output")
    if isinstance(output, layers.Dense):
        arrays["output.kernel"] = numpy(output.kernel)
    return arrays


def set_decoder(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """The inverse of `decoder_arrays`."""
    model.get_layer("embedding").embeddings.assign(arrays["embedding"])
    for weight, name in zip(
        model.get_layer("lstm").weights, ("kernel", "recurrent", "bias"), strict=True
    ):
        weight.assign(arrays[f"lstm.{name}"])
    for layer in ("image", "fusion", "output"):
        for part in ("kernel", "bias"):
            if f"{layer}.{part}" in arrays:
                getattr(model.get_layer(layer), part).assign(arrays[f"{layer}.{part}"])


def word_head(stems: int, *, hidden: int = 512, dropout: float = 0.4) -> keras.Model:
    """feature (N, 2048) → logits (N, stems): which word stems a person would use of the photo."""
    feature = keras.Input((xception.feature_size,), name="feature")
    seen = layers.Dropout(dropout, name="feature_dropout")(feature)
    seen = layers.Dense(hidden, activation="relu", name="hidden")(seen)
    seen = layers.Dropout(dropout, name="hidden_dropout")(seen)
    return keras.Model(feature, layers.Dense(stems, name="stems")(seen), name="word_head")


def word_head_arrays(model: keras.Model) -> Arrays:
    """A word head's weights by name."""
    numpy = keras.ops.convert_to_numpy
    return {
        f"{layer}.{part}": numpy(getattr(model.get_layer(layer), part))
        for layer in ("hidden", "stems")
        for part in ("kernel", "bias")
    }


def joint_image(dimensions: int = 256, dropout: float = 0.3) -> keras.Model:
    """feature (N, 2048) → the photo's vector in the joint space (N, dimensions), of unit length."""
    feature = keras.Input((xception.feature_size,), name="feature")
    vector = layers.Dropout(dropout, name="feature_dropout")(feature)
    vector = layers.Dense(dimensions, name="project")(vector)
    vector = layers.UnitNormalization(name="unit")(vector)
    return keras.Model(feature, vector, name="joint_image")


def joint_text(vocabulary: int, length: int, dimensions: int = 256) -> keras.Model:
    """Bags of words (N, length) → vectors (N, dimensions), of unit length.

    A weighted mean of word vectors, each word with a weight of its own; number 0 is no word.
    Searching then needs a lookup and a sum, and no engine.
    """
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
    """Both sides of the joint space; the text side folded into one vector and weight a word."""
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
