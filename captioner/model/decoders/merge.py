"""The merge decoder: an LSTM over the words alone, merged with the photo's features after it.

The architecture is that of Tanti, Gatt and Camilleri, "What is the Role of Recurrent Neural
Networks (RNNs) in an Image Caption Generator?" (INLG 2017)::

    v = relu(feature @ image.kernel + image.bias)       (U,)  once per photo
    h, c = LSTM(embedding[token], h, c)                 (U,)  once per prefix
    y = relu((h + v) @ fusion.kernel + fusion.bias)     (F,)
    p = softmax(y @ output.kernel + output.bias)        (V,)

The LSTM state depends on the words alone, never on the photo: "a dog is" has one state, whichever
photo and whichever beam it belongs to. So the stepper keeps a trie of all prefixes so far, with h,
c and h @ fusion.kernel of each, and runs the LSTM only for new prefixes. As v @ fusion.kernel is
computed once per photo, a hypothesis costs one ReLU and one product with the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from captioner.model.decoders import networks
from captioner.model.decoders.interface import IntArray, States
from captioner.model.decoders.lstm import lstm_step
from captioner.model.decoders.output import OutputLayer
from captioner.types import Features, FloatArray

if TYPE_CHECKING:
    import keras

kind = "merge"
needs_grid = False

ROOT = 0
"""Number of the empty prefix, before START."""

MEMORY = 96 * 2**20
"""Bytes of prefixes to keep from one batch to the next: 19,000 of them for a decoder of 512 units
and 256 fusion units, as many as some hundred photos need. More would save little."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Layer sizes of a merge decoder."""

    embedding: int = 256
    lstm: int = 512
    fusion: int = 256
    tied: bool = True
    """The output layer shares the embedding's vectors (Press and Wolf, "Using the Output Embedding
    to Improve Language Models", 2017); needs `fusion == embedding`."""
    dropout: float = 0.5


def network(vocabulary_size: int, sizes: Sizes, feature_size: int) -> keras.Model:
    """The Keras network over whole sentences, for training with teacher forcing.

    feature (N, D) → Dropout → Dense, ReLU; tokens (N, T) → Embedding → Dropout → LSTM → Dropout;
    add → Dense, ReLU → Dropout → logits (N, T, V), one row for the token after each.
    """
    from captioner.model.backend import keras

    layers, ops, dropout = keras.layers, keras.ops, sizes.dropout
    feature = keras.Input((feature_size,), name="feature")
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    image = layers.Dropout(dropout, name="image_dropout")(feature)
    image = layers.Dense(sizes.lstm, activation="relu", name="image")(image)
    words = networks.embedding(vocabulary_size, sizes.embedding)
    language = layers.Dropout(dropout, name="word_dropout")(words(tokens))
    # No mask: padding is on the right, so that it changes nothing before it, and the loss leaves
    # it out.
    language = layers.LSTM(sizes.lstm, return_sequences=True, name="lstm")(language)
    language = layers.Dropout(dropout, name="language_dropout")(language)
    merged = language + ops.expand_dims(image, 1)
    merged = layers.Dense(sizes.fusion, activation="relu", name="fusion")(merged)
    merged = layers.Dropout(dropout / 2, name="fusion_dropout")(merged)
    logits = networks.logits(merged, words, vocabulary_size, sizes)
    return keras.Model({"feature": feature, "tokens": tokens}, logits, name="merge_decoder")


def arrays(model: keras.Model) -> dict[str, FloatArray]:
    """The network's weights, named as `MergeNetwork` takes them."""
    from captioner.model.backend import keras

    numpy = keras.ops.convert_to_numpy
    kernel, recurrent, bias = (numpy(weight) for weight in model.get_layer("lstm").weights)
    out = {
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
    if isinstance(output, keras.layers.Dense):
        out["output.kernel"] = numpy(output.kernel)
    return out


def set_arrays(model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
    """The inverse of `arrays`."""
    model.get_layer("embedding").embeddings.assign(arrays["embedding"])
    for weight, name in zip(
        model.get_layer("lstm").weights, ("kernel", "recurrent", "bias"), strict=True
    ):
        weight.assign(arrays[f"lstm.{name}"])
    for layer in ("image", "fusion", "output"):
        for part in ("kernel", "bias"):
            if f"{layer}.{part}" in arrays:
                getattr(model.get_layer(layer), part).assign(arrays[f"{layer}.{part}"])


def stepper(arrays: Mapping[str, FloatArray]) -> MergeStepper:
    """The decoder with these weights in NumPy; see `MergeNetwork` for their names and shapes."""
    return MergeStepper(arrays)


class MergeNetwork:
    """The arithmetic of a merge decoder in NumPy; holds the weights and no state.

    Parameters
    ----------
    arrays
        float32, in Keras' layout, gates in the order i, f, c, o: `embedding` (V, E), `lstm.kernel`
        (E, 4U), `lstm.recurrent` (U, 4U), `lstm.bias` (4U,), `image.kernel` (D, U), `image.bias`
        (U,), `fusion.kernel` (U, F), `fusion.bias` (F,), `output.bias` (V,) and `output.kernel`
        (F, V), which is `embedding.T` where it is absent.
    """

    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        self._image_kernel = arrays["image.kernel"]
        self._image_bias = arrays["image.bias"]
        # A word's part of the gates does not depend on the words before it: (V, 4U), made once.
        self._input_gates = arrays["embedding"] @ arrays["lstm.kernel"] + arrays["lstm.bias"]
        self._recurrent = arrays["lstm.recurrent"]
        # One more fusion unit, always 1, so that the output's bias is a row of the output's kernel.
        self._fusion_kernel = np.pad(arrays["fusion.kernel"], ((0, 0), (0, 1)))
        self._fusion_bias = np.append(arrays["fusion.bias"], np.float32(1))
        output = arrays["output.kernel"] if "output.kernel" in arrays else arrays["embedding"].T
        self._output = OutputLayer(output, arrays["output.bias"])
        self.vocabulary_size = self._output.vocabulary_size
        self.units, self.fusion_units = self._fusion_kernel.shape

    def project_image(self, features: FloatArray) -> FloatArray:
        """Pooled features (N, D) to the photos' term of the fusion layer (N, F + 1)."""
        v = np.maximum(features @ self._image_kernel + self._image_bias, 0)
        return v @ self._fusion_kernel + self._fusion_bias

    def lstm_step(
        self, h: FloatArray, c: FloatArray, parents: IntArray, tokens: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One step of the LSTM.

        Parameters
        ----------
        h, c
            States (P, U); a state that several words follow is here once.
        parents, tokens
            For each new prefix, the row of the state before it and its last token (R,).

        Returns
        -------
        The new h (R, U), the new c (R, U), and the language's term of the fusion layer (R, F + 1).
        """
        gates = self._input_gates[tokens]
        gates += (h @ self._recurrent)[parents]
        h, c = lstm_step(gates, c[parents])
        return h, c, h @ self._fusion_kernel

    def output_rows(self, shortlist: IntArray | None) -> FloatArray | None:
        """The output layer for some tokens alone; see `OutputLayer.rows`."""
        return self._output.rows(shortlist)

    def next_word_probabilities(
        self,
        photo: FloatArray,
        language: FloatArray,
        rows: IntArray,
        output_rows: FloatArray | None,
    ) -> FloatArray:
        """Probabilities of the next word (R, V) or (R, K).

        Parameters
        ----------
        photo, language
            Both terms of the fusion layer, (N, F + 1) and (R, F + 1).
        rows
            The photo of each hypothesis (R,); hypotheses of one photo are adjacent.
        output_rows
            From `output_rows`; None for all words.
        """
        y = photo[rows]
        y += language
        np.maximum(y, 0, out=y)
        return self._output.probabilities(y, rows, output_rows)


class _Trie:
    """The prefixes so far, by number, and the language states after them."""

    def __init__(self, network: MergeNetwork, capacity: int) -> None:
        # prefix * V + token → prefix. Numbers are given in order, so they are rows of the states.
        self.children: dict[int, int] = {}
        # h, c (P, U) and the language's term of the fusion layer (P, F + 1). Row 0 is the root.
        self.states = tuple(
            np.zeros((capacity, n), np.float32)
            for n in (network.units, network.units, network.fusion_units)
        )

    def __len__(self) -> int:
        return 1 + len(self.children)

    def reserve(self, size: int) -> None:
        """Reserve capacity for `size` prefixes; growing at least doubles it."""
        capacity = len(self.states[0])
        if size > capacity:
            more = max(size - capacity, capacity)
            self.states = tuple(
                np.concatenate([a, np.empty((more, a.shape[1]), np.float32)]) for a in self.states
            )


@dataclass(frozen=True, slots=True)
class Photos:
    """A batch of photos during decoding."""

    image: FloatArray
    """The photos' term of the fusion layer (N, F + 1)."""
    output: FloatArray | None
    """The output layer of each photo's shortlist (N, K, F + 1); None for the whole vocabulary."""
    trie: _Trie
    """The one that numbers this batch's prefixes, even if the stepper has begun a new one since."""


class MergeStepper:
    """A merge decoder in NumPy: a `Stepper` whose states are the numbers of prefixes in a trie.

    Results do not depend on what was decoded before, except for the rounding of float32 products.
    Not for several threads at once.

    Parameters
    ----------
    arrays
        As `MergeNetwork` takes them.
    memory
        Bytes of prefixes to keep; where these may not suffice for another batch, it begins with an
        empty trie.
    """

    def __init__(self, arrays: Mapping[str, FloatArray], memory: int = MEMORY) -> None:
        self._network = MergeNetwork(arrays)
        self.vocabulary_size = self._network.vocabulary_size
        numbers = 2 * self._network.units + self._network.fusion_units
        self._capacity = max(1, memory // (4 * numbers))
        self._trie = _Trie(self._network, self._capacity)
        self._at_start = len(self._trie)
        self._largest_batch = 0

    def start(self, features: Features, shortlist: IntArray | None = None) -> tuple[Photos, States]:
        """Begin with photos; see `Stepper`.

        The product with the output layer is most of the work: a short list makes it fast.
        """
        # Growing copies the whole trie, so a new one begins before a batch could outgrow it.
        self._largest_batch = max(self._largest_batch, len(self._trie) - self._at_start)
        if len(self._trie) + self._largest_batch > self._capacity:
            self._trie = _Trie(self._network, self._capacity)
        self._at_start = len(self._trie)
        photos = Photos(
            self._network.project_image(features.pooled),
            self._network.output_rows(shortlist),
            self._trie,
        )
        return photos, np.full(len(features), ROOT)

    def step(
        self, photos: Photos, rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States]:
        """Append a token to each hypothesis; see `Stepper`."""
        prefixes = self._extend(photos.trie, states, tokens)
        language = photos.trie.states[2][prefixes]
        p = self._network.next_word_probabilities(photos.image, language, rows, photos.output)
        return p, prefixes

    def _extend(self, trie: _Trie, prefixes: IntArray, tokens: IntArray) -> IntArray:
        """The numbers of prefixes with one more token; new ones go through the LSTM now."""
        keys = prefixes * self.vocabulary_size + tokens
        longer = np.array([trie.children.get(key, -1) for key in keys.tolist()], np.intp)
        unknown = longer < 0
        if unknown.any():
            new, position = np.unique(keys[unknown], return_inverse=True)
            first, end = len(trie), len(trie) + len(new)
            trie.reserve(end)
            shorter, tokens = np.divmod(new, self.vocabulary_size)
            before, parents = np.unique(shorter, return_inverse=True)
            h, c, language = trie.states
            h[first:end], c[first:end], language[first:end] = self._network.lstm_step(
                h[before], c[before], parents, tokens
            )
            # Last, so that an interrupt leaves no number without its states.
            trie.children.update(zip(new.tolist(), range(first, end), strict=True))
            longer[unknown] = first + position
        return longer
