"""The soft-attention decoder: before each word it looks at a weighted mean of the feature map.

Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention" (ICML
2015), the deterministic model of section 4.2. With the L places of the map as annotations a_i, the
embedding e of the last word and the state h, c before it::

    h, c = tanh(mean(a) @ W + b), for each its own           before the first word
    α = softmax_i(score · tanh(a_i @ location + h @ query + bias))
    z = β Σ α_i a_i,   β = sigmoid(h @ gate + bias)          context, with its gating scalar
    h, c = LSTM([e, z], h, c)
    y = tanh(e + h @ output_hidden + z @ output_context)     deep output
    p = softmax(y @ output.kernel + output.bias)

Training adds the doubly stochastic regularisation, λ · mean over places of (1 - Σ_t α_ti)²: over a
whole sentence, each place should be looked at about once.

The annotations are the encoder's feature map, each number x as sign(x) log(1 + |x|): activations
after a ReLU have a long tail, which the logarithm shortens, as in the pooled features. The context
is used in linear layers alone, so that the stepper multiplies the annotations with these once per
photo, and never forms z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.model.decoders import networks
from captioner.model.decoders.interface import IntArray, States
from captioner.model.decoders.lstm import lstm_step, sigmoid
from captioner.model.decoders.output import OutputLayer, blocks, softmax, with_one
from captioner.model.vocabulary import END, PAD, START
from captioner.types import Features, FloatArray

if TYPE_CHECKING:
    import keras

kind = "soft-attention"
needs_grid = True

_LOG = "log_features"
"""Name of the layer that takes logarithms, and of the array that says so."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Layer sizes of a soft-attention decoder."""

    embedding: int = 256
    lstm: int = 512
    attention: int = 256
    """Units of the hidden layer of the attention."""
    gate: bool = True
    """Whether the context is multiplied by the gating scalar β."""
    deep_output: bool = True
    """Whether word and context reach the output layer past the LSTM; otherwise h alone does."""
    tied: bool = True
    """The output layer shares the embedding's vectors; without a deep output that needs
    `lstm == embedding`."""
    log_features: bool = True
    """Whether the feature map's numbers are replaced by their logarithms."""
    regularisation: float = 1.0
    """λ of the doubly stochastic regularisation."""
    dropout: float = 0.5
    """Of words, and of the LSTM's output."""


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    """The Keras network over whole sentences, for training with teacher forcing.

    Its inputs are `grid` (N, h, w, feature_size) and `tokens` (N, T).
    """
    from captioner.model.backend import keras

    layers, ops = keras.layers, keras.ops
    grid = keras.Input((None, None, feature_size), name="grid")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    annotations = grid
    if sizes.log_features:
        annotations = _log_layer()(name=_LOG)(annotations)
    annotations = layers.Reshape((-1, feature_size), name="annotations")(annotations)
    mean = ops.mean(annotations, axis=1)
    state = [
        layers.Dense(sizes.lstm, activation="tanh", name=name)(mean)
        for name in ("first_hidden", "first_cell")
    ]
    embedding = networks.embedding(vocabulary_size, sizes.embedding)
    words = layers.Dropout(sizes.dropout, name="word_dropout")(embedding(tokens))
    attention = _attention_lstm()(
        sizes.lstm, sizes.attention, gate=sizes.gate,
        regularisation=sizes.regularisation, name="attention",
    )  # fmt: skip
    hidden, context = attention([words, annotations, *state, tokens])
    y = layers.Dropout(sizes.dropout, name="language_dropout")(hidden)
    if sizes.deep_output:
        y = layers.Dense(sizes.embedding, use_bias=False, name="output_hidden")(y)
        y += layers.Dense(sizes.embedding, use_bias=False, name="output_context")(context)
        y = layers.Activation("tanh", name="deep_output")(y + words)
        y = layers.Dropout(sizes.dropout / 2, name="output_dropout")(y)
    logits = networks.logits(y, embedding, vocabulary_size, sizes)
    return keras.Model({"grid": grid, "tokens": tokens}, logits, name="soft_attention_decoder")


@cache
def _log_layer() -> Any:
    """The class of the layer that takes logarithms; made here because it needs Keras."""
    from captioner.model.backend import keras

    class SignedLog(keras.layers.Layer):
        """sign(x) log(1 + |x|)."""

        def call(self, x: Any) -> Any:
            return keras.ops.sign(x) * keras.ops.log1p(keras.ops.absolute(x))

    return SignedLog


@cache
def _attention_lstm() -> Any:
    """The class of the recurrent layer; made here because it needs Keras."""
    from captioner.model.backend import keras

    ops = keras.ops

    class AttentionLSTM(keras.layers.Layer):
        """An LSTM whose input is a word and the context that its attention chooses.

        Its inputs are words (N, T, E), annotations (N, L, C), the first h and c (N, U), and the
        tokens (N, T), by which the regularisation knows padding. Its outputs are h (N, T, U) and
        the gated context (N, T, C).
        """

        def __init__(
            self, units: int, hidden: int, *, gate: bool, regularisation: float, **options: Any
        ) -> None:
            super().__init__(**options)
            self.units, self.hidden = units, hidden
            self.gate, self.regularisation = gate, regularisation

        def build(self, shapes: Any) -> None:
            words, annotations = shapes[0][-1], shapes[1][-1]
            gates = 4 * self.units

            def kernel(name: str, rows: int, columns: int, initializer: str) -> Any:
                return self.add_weight(shape=(rows, columns), initializer=initializer, name=name)

            self.word_kernel = kernel("word_kernel", words, gates, "glorot_uniform")
            self.context_kernel = kernel("context_kernel", annotations, gates, "glorot_uniform")
            self.recurrent_kernel = kernel("recurrent_kernel", self.units, gates, "orthogonal")
            self.bias = self.add_weight(shape=(gates,), initializer=self._first_bias, name="bias")
            self.location = kernel("location", annotations, self.hidden, "glorot_uniform")
            self.query = kernel("query", self.units, self.hidden, "glorot_uniform")
            self.query_bias = self.add_weight(
                shape=(self.hidden,), initializer="zeros", name="query_bias"
            )
            self.score = kernel("score", self.hidden, 1, "glorot_uniform")
            if self.gate:
                self.gate_kernel = kernel("gate_kernel", self.units, 1, "glorot_uniform")
                self.gate_bias = self.add_weight(shape=(1,), initializer="zeros", name="gate_bias")

        def _first_bias(self, shape: Any, dtype: Any = None) -> Any:
            """Zeros, but ones for the forget gate, as of Keras' own LSTM."""
            bias = np.zeros(shape, np.float32)
            bias[self.units : 2 * self.units] = 1
            return ops.convert_to_tensor(bias, dtype=dtype)

        def compute_output_shape(self, shapes: Any) -> Any:
            count, length = shapes[0][:2]
            return [(count, length, self.units), (count, length, shapes[1][-1])]

        def call(self, inputs: Any, training: bool = False) -> Any:
            words, annotations, h, c, tokens = inputs
            located = ops.matmul(annotations, self.location) + self.query_bias
            word_gates = ops.matmul(words, self.word_kernel) + self.bias

            def step(carry: Any, word: Any) -> Any:
                h, c = carry[:2]
                query = ops.expand_dims(ops.matmul(h, self.query), 1)
                scores = ops.matmul(ops.tanh(located + query), self.score)
                weights = ops.softmax(scores, axis=1)  # (N, L, 1)
                context = ops.sum(weights * annotations, axis=1)
                if self.gate:
                    context *= ops.sigmoid(ops.matmul(h, self.gate_kernel) + self.gate_bias)
                gates = word + ops.matmul(context, self.context_kernel)
                gates += ops.matmul(h, self.recurrent_kernel)
                enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
                c = ops.sigmoid(forget) * c + ops.sigmoid(enter) * ops.tanh(candidate)
                h = ops.sigmoid(leave) * ops.tanh(c)
                carry = [h, c, context, ops.squeeze(weights, -1)]
                # TensorFlow wants what a step gives to look like what it carries.
                return carry, carry

            first = [h, c, annotations[:, 0], annotations[:, :, 0]]
            _, steps = ops.scan(step, first, ops.swapaxes(word_gates, 0, 1))
            hidden, _, context, weights = steps
            if training and self.regularisation:
                real = ops.logical_and(tokens != PAD, tokens != END)
                seen = weights * ops.cast(ops.expand_dims(ops.transpose(real), -1), weights.dtype)
                missing = ops.square(1 - ops.sum(seen, axis=0))
                self.add_loss(self.regularisation * ops.mean(missing))
            return ops.swapaxes(hidden, 0, 1), ops.swapaxes(context, 0, 1)

    return AttentionLSTM


def arrays(model: keras.Model) -> dict[str, FloatArray]:
    """The network's weights, named as `SoftAttentionStepper` takes them."""
    out = networks.get_arrays(model)
    if any(layer.name == _LOG for layer in model.layers):
        out[_LOG] = np.ones(1, np.float32)
    return out


def set_arrays(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """The inverse of `arrays`."""
    networks.set_arrays(model, arrays)


def stepper(arrays: Mapping[str, FloatArray]) -> SoftAttentionStepper:
    """The decoder with these weights in NumPy."""
    return SoftAttentionStepper(arrays)


@dataclass(frozen=True, slots=True)
class Annotations:
    """A batch of photos during decoding: their annotations by each layer that reads them."""

    located: FloatArray
    """In the attention's hidden layer (N, L, A)."""
    gates: FloatArray
    """In the LSTM's gates (N, L, 4U)."""
    deep: FloatArray | None
    """In the deep output (N, L, E); None without one."""
    output: FloatArray | None
    """The output layer of each photo's shortlist (N, K, F + 1); None for the whole vocabulary."""


class SoftAttentionStepper:
    """A soft-attention decoder in NumPy. States are h and c side by side, float32 (R, 2U).

    Parameters
    ----------
    arrays
        float32, in Keras' layout, gates in the order i, f, c, o: `embedding.embeddings` (V, E);
        `first_hidden` and `first_cell`, `.kernel` (C, U) and `.bias`; of the attention
        `attention.location` (C, A), `.query` (U, A), `.query_bias`, `.score` (A, 1) and, if there
        is a gate, `.gate_kernel` (U, 1) and `.gate_bias`; of the LSTM `attention.word_kernel`
        (E, 4U), `.context_kernel` (C, 4U), `.recurrent_kernel` (U, 4U) and `.bias`; with a deep
        output `output_hidden.kernel` (U, E) and `output_context.kernel` (C, E); `output.bias` and,
        unless tied, `output.kernel`. There is `log_features` if logarithms are taken.
    """

    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        self._arrays = arrays
        own = {
            name.removeprefix("attention."): array
            for name, array in arrays.items()
            if name.startswith("attention.")
        }
        self._words = arrays["embedding.embeddings"]
        self._word_gates = self._words @ own["word_kernel"] + own["bias"]
        self._own = own
        self._score = own["score"][:, 0]
        self._output = OutputLayer(*networks.output_weights(arrays))
        self.vocabulary_size = self._output.vocabulary_size

    def start(
        self, features: Features, shortlist: IntArray | None = None
    ) -> tuple[Annotations, States]:
        """Begin with photos, of which the feature map is needed; see `Stepper`.

        Raises
        ------
        ValueError
            If the features have no map.
        """
        if features.grid is None:
            raise ValueError("attention needs the feature map")
        grid = features.grid.astype(np.float32)
        if _LOG in self._arrays:
            grid = np.sign(grid) * np.log1p(np.abs(grid))
        annotations = grid.reshape(len(grid), -1, grid.shape[-1])
        deep = self._arrays.get("output_context.kernel")
        mean = annotations.mean(axis=1)
        state = [
            np.tanh(mean @ self._arrays[f"{name}.kernel"] + self._arrays[f"{name}.bias"])
            for name in ("first_hidden", "first_cell")
        ]
        photos = Annotations(
            annotations @ self._own["location"] + self._own["query_bias"],
            annotations @ self._own["context_kernel"],
            None if deep is None else annotations @ deep,
            self._output.rows(shortlist),
        )
        return photos, np.hstack(state)

    def step(
        self, photos: Annotations, rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States]:
        """Append a token to each hypothesis; see `Stepper`."""
        p, states, _ = self._step(photos, rows, states, tokens)
        return p, states

    def attention(
        self, features: Features, sentences: Sequence[Sequence[int]], start: int = START
    ) -> list[FloatArray]:
        """Where the decoder looks for each word.

        Parameters
        ----------
        features
            Of N photos, with their maps.
        sentences
            A sentence's tokens for each photo, without START and END.
        start
            The token that the sentences begin with.

        Returns
        -------
        For each photo (words + 1, h, w): the weights α before each word and before END, which sum
        to 1 over the map.
        """
        assert features.grid is not None
        height, width = features.grid.shape[1:3]
        found = []
        for row, sentence in enumerate(sentences):
            photos, states = self.start(features[row : row + 1])
            one, maps = np.zeros(1, np.intp), []
            for token in (start, *sentence):
                _, states, weights = self._step(photos, one, states, np.array([token]))
                maps.append(weights.reshape(height, width))
            found.append(np.stack(maps))
        return found

    def _step(
        self, photos: Annotations, rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States, FloatArray]:
        """As `step`, and the weights of the places (R, L)."""
        h, c = np.split(states, 2, axis=1)
        weights = self._weights(photos, rows, h)
        gated = weights
        if "gate_kernel" in self._own:
            gated = weights * sigmoid(h @ self._own["gate_kernel"] + self._own["gate_bias"])
        gates = self._word_gates[tokens]
        gates += h @ self._own["recurrent_kernel"]
        gates += _weighted(gated, photos.gates, rows)
        h, c = lstm_step(gates, c)
        y = h
        if photos.deep is not None:
            y = h @ self._arrays["output_hidden.kernel"]
            y += self._words[tokens]
            y += _weighted(gated, photos.deep, rows)
            np.tanh(y, out=y)
        p = self._output.probabilities(with_one(y), rows, photos.output)
        return p, np.hstack([h, c]), weights

    def _weights(self, photos: Annotations, rows: IntArray, h: FloatArray) -> FloatArray:
        """α (R, L)."""
        query = h @ self._own["query"]
        scores = np.empty((len(rows), photos.located.shape[1]), np.float32)
        for first, end in blocks(rows):
            hidden = photos.located[rows[first]] + query[first:end, None]
            scores[first:end] = np.tanh(hidden, out=hidden) @ self._score
        return softmax(scores)


def _weighted(weights: FloatArray, annotations: FloatArray, rows: IntArray) -> FloatArray:
    """Weighted sums over the places, (R, L) and (N, L, X) to (R, X)."""
    out = np.empty((len(rows), annotations.shape[2]), np.float32)
    for first, end in blocks(rows):
        np.dot(weights[first:end], annotations[rows[first]], out=out[first:end])
    return out
