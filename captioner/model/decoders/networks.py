"""What decoders' networks share in Keras: word embeddings, output layers, weights by name.

Keras is imported inside the functions: bundles run without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from captioner.errors import UsageError
from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras


class OutputSizes(Protocol):
    """What `logits` needs to know."""

    @property
    def embedding(self) -> int:
        """Length of a word's vector."""
        ...

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the embedding's vectors."""
        ...


def embedding(vocabulary_size: int, size: int) -> keras.layers.Embedding:
    """The layer `embedding`, from tokens (N, T) to vectors (N, T, size)."""
    from captioner.model.backend import keras

    return keras.layers.Embedding(
        vocabulary_size,
        size,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05),
        name="embedding",
    )


def logits(
    hidden: Any, words: keras.layers.Embedding, vocabulary_size: int, sizes: OutputSizes
) -> Any:
    """The layer `output`, (N, T, F) → (N, T, V); with tied weights F is the embedding's size.

    Raises
    ------
    UsageError
        If the weights are to be tied and F is another number.
    """
    from captioner.model.backend import keras

    if not sizes.tied:
        return keras.layers.Dense(vocabulary_size, name="output")(hidden)
    if hidden.shape[-1] != sizes.embedding:
        raise UsageError(
            f"the output layer cannot share word vectors of {sizes.embedding} numbers: the layer "
            f"before it has {hidden.shape[-1]} units.",
            "Give both the same size, or do not tie them.",
        )
    return tied_output()(words, name="output")(hidden)


@cache
def tied_output() -> Any:
    """The class of the output layer with tied weights; made here because it needs Keras.

    Press and Wolf, "Using the Output Embedding to Improve Language Models", 2017.
    """
    from captioner.model.backend import keras

    class TiedOutput(keras.layers.Layer):
        """(N, T, E) → (N, T, V): the product with an embedding's vectors, and a bias."""

        def __init__(self, embedding: keras.layers.Embedding, **options: Any) -> None:
            super().__init__(**options)
            self._embedding = embedding

        def build(self, shape: object) -> None:
            self.bias = self.add_weight(
                shape=(self._embedding.input_dim,), initializer="zeros", name="bias"
            )

        def call(self, merged: Any) -> Any:
            kernel = keras.ops.transpose(self._embedding.embeddings)
            return keras.ops.matmul(merged, kernel) + self.bias

    return TiedOutput


def get_arrays(model: keras.Model) -> dict[str, FloatArray]:
    """All weights of a network by layer and name, such as `lstm.recurrent_kernel`."""
    from captioner.model.backend import keras

    return {_name(weight): keras.ops.convert_to_numpy(weight) for weight in model.weights}


def set_arrays(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """The inverse of `get_arrays`."""
    for weight in model.weights:
        weight.assign(arrays[_name(weight)])


def _name(weight: keras.Variable) -> str:
    """Without the cell between a recurrent layer and its weights."""
    parts = str(weight.path).split("/")
    return f"{parts[0]}.{parts[-1]}"


def output_weights(arrays: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Kernel (F, V) and bias (V,) of the output layer, whether or not its weights are tied."""
    kernel = arrays.get("output.kernel")
    if kernel is None:
        kernel = np.ascontiguousarray(arrays["embedding.embeddings"].T)
    return kernel, arrays["output.bias"]
