"""What the inject decoders share: an LSTM that reads the photo as well as the words.

Tanti, Gatt and Camilleri, "Where to put the Image in an Image Caption Generator" (Natural Language
Engineering 24(3), 2018), compare four places for the photo. In `merge` it meets the words after the
LSTM. In the three inject architectures it goes through the LSTM: as its initial state
(`init_inject`), as its first input (`pre_inject`), or beside each word (`par_inject`)::

    v = feature @ image.kernel + image.bias             once per photo
    h, c = LSTM(embedding[token], h, c)                 once per hypothesis: the state has seen v
    y = relu(h @ projection.kernel + projection.bias)   (F,), or h itself
    p = softmax(y @ output.kernel + output.bias)        (V,)

The paper's networks have no projection, and scale features to unit length. As the state depends on
the photo, no two photos share it, unlike in `merge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.model.decoders import networks
from captioner.model.decoders.interface import IntArray, States
from captioner.model.decoders.lstm import lstm_step
from captioner.model.decoders.output import OutputLayer, with_one
from captioner.types import Features, FloatArray

if TYPE_CHECKING:
    import keras

_UNIT_LENGTH = "unit_length"
"""Name of the layer that divides features by their length, and of the array that says so."""


@dataclass(frozen=True, slots=True)
class InjectSizes:
    """Layer sizes of an inject decoder."""

    embedding: int = 256
    lstm: int = 512
    projection: int = 256
    """Units of a layer between LSTM and output, with ReLU; 0 for none."""
    tied: bool = True
    """The output layer shares the embedding's vectors; the layer before it has `embedding` units
    then."""
    unit_length: bool = False
    """Whether features are divided by their length."""
    image_dropout: float = 0.5
    """Of the photo's features."""
    dropout: float = 0.5
    """Of words, and of the LSTM's output."""


class InjectNetwork:
    """The layers of an inject decoder in Keras, up to where the photo enters.

    Parameters
    ----------
    image_units
        Length of the photo's vector v.
    image_layers
        Names of the layers that make such vectors.
    """

    def __init__(
        self,
        vocabulary_size: int,
        sizes: InjectSizes,
        feature_size: int,
        image_units: int,
        image_layers: tuple[str, ...] = ("image",),
    ) -> None:
        from captioner.model.backend import keras

        layers = keras.layers
        self._vocabulary_size, self._sizes = vocabulary_size, sizes
        self._feature = keras.Input((feature_size,), name="feature")
        self._tokens = keras.Input((None,), dtype="int32", name="tokens")
        feature = self._feature
        if sizes.unit_length:
            feature = layers.UnitNormalization(name=_UNIT_LENGTH)(feature)
        feature = layers.Dropout(sizes.image_dropout, name="image_dropout")(feature)
        self.images = [layers.Dense(image_units, name=name)(feature) for name in image_layers]
        """One vector (N, image_units) for each of the layers."""
        self._embedding = networks.embedding(vocabulary_size, sizes.embedding)
        dropout = layers.Dropout(sizes.dropout, name="word_dropout")
        self.words = dropout(self._embedding(self._tokens))
        """(N, T, E)."""
        # No mask: padding is on the right, so that it changes nothing before it, and the loss
        # leaves it out.
        self.lstm = layers.LSTM(sizes.lstm, return_sequences=True, name="lstm")

    def model(self, language: Any, name: str) -> keras.Model:
        """The network, from the output of its LSTM (N, T, U)."""
        from captioner.model.backend import keras

        layers, sizes = keras.layers, self._sizes
        y = layers.Dropout(sizes.dropout, name="language_dropout")(language)
        if sizes.projection:
            y = layers.Dense(sizes.projection, activation="relu", name="projection")(y)
            y = layers.Dropout(sizes.dropout / 2, name="projection_dropout")(y)
        out = networks.logits(y, self._embedding, self._vocabulary_size, sizes)
        return keras.Model({"feature": self._feature, "tokens": self._tokens}, out, name=name)


def arrays(model: keras.Model) -> dict[str, FloatArray]:
    """The network's weights, named as `InjectStepper` takes them."""
    out = networks.get_arrays(model)
    if any(layer.name == _UNIT_LENGTH for layer in model.layers):
        out[_UNIT_LENGTH] = np.ones(1, np.float32)
    return out


def set_arrays(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """The inverse of `arrays`."""
    networks.set_arrays(model, arrays)


@dataclass(frozen=True, slots=True)
class InjectPhotos:
    """A batch of photos during decoding."""

    gates: FloatArray | None
    """What the photos add to the LSTM's gates at each step (N, 4U)."""
    output: FloatArray | None
    """The output layer of each photo's shortlist (N, K, F + 1); None for the whole vocabulary."""


class InjectStepper:
    """An inject decoder in NumPy. Subclasses define where the photo enters.

    States are h and c side by side, float32 (R, 2U).

    Parameters
    ----------
    arrays
        float32, in Keras' layout, gates in the order i, f, c, o: `embedding.embeddings` (V, E),
        `lstm.kernel` (E or more, 4U), of which the first E rows are the words',
        `lstm.recurrent_kernel` (U, 4U), `lstm.bias` (4U,), `image.kernel` and `image.bias`,
        `output.bias` (V,), `output.kernel` (F, V) unless tied, and, if there is such a layer,
        `projection.kernel` (U, F) and `projection.bias` (F,). There is
        `unit_length` if features are divided by their length.
    """

    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        words = arrays["embedding.embeddings"]
        self._arrays = arrays
        # A word's part of the gates does not depend on the words before it: (V, 4U), made once.
        self._word_gates = words @ arrays["lstm.kernel"][: words.shape[1]] + arrays["lstm.bias"]
        self._recurrent = arrays["lstm.recurrent_kernel"]
        self._unit_length = _UNIT_LENGTH in arrays
        self._output = OutputLayer(*networks.output_weights(arrays))
        self.vocabulary_size = self._output.vocabulary_size
        self.units = len(self._recurrent)

    def begin(self, features: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Let the LSTM see the photos, (N, D).

        Returns
        -------
        h and c (N, U) before the first word, and what the photos add to the gates at each step
        (N, 4U), or None.
        """
        raise NotImplementedError

    def project_image(self, features: FloatArray, layer: str = "image") -> FloatArray:
        """The photos' vectors v by one of the image layers, (N, D) to (N, I)."""
        if self._unit_length:
            square = np.square(features).sum(axis=1, keepdims=True)
            features = features / np.sqrt(np.maximum(square, np.float32(1e-12)))
        return features @ self._arrays[f"{layer}.kernel"] + self._arrays[f"{layer}.bias"]

    def start(
        self, features: Features, shortlist: IntArray | None = None
    ) -> tuple[InjectPhotos, States]:
        """Begin with photos; see `Stepper`."""
        h, c, gates = self.begin(features.pooled)
        return InjectPhotos(gates, self._output.rows(shortlist)), np.hstack([h, c])

    def step(
        self, photos: InjectPhotos, rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States]:
        """Append a token to each hypothesis; see `Stepper`."""
        h, c = np.split(states, 2, axis=1)
        gates = self._word_gates[tokens]
        gates += h @ self._recurrent
        if photos.gates is not None:
            gates += photos.gates[rows]
        h, c = lstm_step(gates, c)
        p = self._output.probabilities(with_one(self._hidden(h)), rows, photos.output)
        return p, np.hstack([h, c])

    def _hidden(self, h: FloatArray) -> FloatArray:
        if "projection.kernel" not in self._arrays:
            return h
        y = h @ self._arrays["projection.kernel"] + self._arrays["projection.bias"]
        return np.maximum(y, 0, out=y)
