"""The merge decoder: how probable each next word is, for every hypothesis of every photo at once.

The architecture is that of Tanti, Gatt and Camilleri, "What is the Role of Recurrent Neural
Networks (RNNs) in an Image Caption Generator?" (INLG 2017). An LSTM reads the words alone, and the
photo joins after it::

    v = relu(feature @ image.kernel + image.bias)       (U,)  once a photo
    h, c = LSTM(embedding[token], h, c)                 (U,)  once a prefix
    y = relu((h + v) @ fusion.kernel + fusion.bias)     (F,)
    p = softmax(y @ output.kernel + output.bias)        (V,)

The LSTM never sees the photo, so its state belongs to the words read so far and to nothing else:
"a dog is" is one *prefix*, whichever photo and whichever beam says it. The decoder keeps a trie of
the prefixes it has met, with h, c and h @ fusion.kernel of each, and runs the LSTM only where a
prefix is new. With v @ fusion.kernel made once a photo, a hypothesis costs one relu and one product
with the vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from captioner.types import FloatArray

IntArray = npt.NDArray[np.intp]

ROOT = 0
"""The empty prefix: every search begins by reading START after it."""

MEMORY = 96 * 2**20
"""Bytes of prefixes to keep from one batch to the next: 19,000 of them for a decoder of 512 units
and 256 fusion units, as many as some hundred photos need. More would save little."""


class MergeNetwork:
    """The arithmetic of one merge decoder; it keeps nothing but its weights.

    Parameters
    ----------
    arrays
        float32, as Keras lays them out, gates in the order i, f, c, o: `embedding` (V, E),
        `lstm.kernel` (E, 4U), `lstm.recurrent` (U, 4U), `lstm.bias` (4U,), `image.kernel`
        (2048, U), `image.bias` (U,), `fusion.kernel` (U, F), `fusion.bias` (F,), `output.bias`
        (V,) and `output.kernel` (F, V), which is `embedding.T` where it is absent.
    """

    def __init__(self, arrays: Mapping[str, FloatArray]) -> None:
        self._image_kernel = arrays["image.kernel"]
        self._image_bias = arrays["image.bias"]
        # A word's share of the gates does not depend on the words before it: (V, 4U), made once.
        self._words = arrays["embedding"] @ arrays["lstm.kernel"] + arrays["lstm.bias"]
        self._recurrent = arrays["lstm.recurrent"]
        # One fusion unit more, always 1, so that the output's bias is a row of the output's kernel.
        self._fusion_kernel = np.pad(arrays["fusion.kernel"], ((0, 0), (0, 1)))
        self._fusion_bias = np.append(arrays["fusion.bias"], np.float32(1))
        output = arrays["output.kernel"] if "output.kernel" in arrays else arrays["embedding"].T
        self._output = np.vstack([output, arrays["output.bias"]])
        self.vocabulary_size = len(arrays["output.bias"])
        self.units, self.fusion_units = self._fusion_kernel.shape

    def see(self, features: FloatArray) -> FloatArray:
        """The photos' share of the fusion layer: (N, 2048) to (N, F + 1)."""
        v = np.maximum(features @ self._image_kernel + self._image_bias, 0)
        return v @ self._fusion_kernel + self._fusion_bias

    def read(
        self, h: FloatArray, c: FloatArray, parents: IntArray, tokens: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One step of the LSTM.

        Parameters
        ----------
        h, c
            States (P, U); a state that several words follow stands here once.
        parents, tokens
            Of each new prefix, the row of the state before it and the word to be read (R,).

        Returns
        -------
        The new h (R, U), the new c (R, U), and the words' share of the fusion layer (R, F + 1).
        """
        gates = self._words[tokens]
        gates += (h @ self._recurrent)[parents]
        write, keep, candidate, show = np.split(gates, 4, axis=1)
        c = _sigmoid(keep) * c[parents] + _sigmoid(write) * np.tanh(candidate)
        h = _sigmoid(show) * np.tanh(c)
        return h, c, h @ self._fusion_kernel

    def among(self, words: IntArray) -> FloatArray:
        """The output layer of some words alone: (N, K) to (N, K, F + 1)."""
        return self._output.T[words]

    def say(
        self, photo: FloatArray, language: FloatArray, rows: IntArray, output: FloatArray | None
    ) -> FloatArray:
        """Probabilities of the next word (R, V) or (R, K).

        Parameters
        ----------
        photo, language
            Both shares of the fusion layer (N, F + 1) and (R, F + 1).
        rows
            The photo of each hypothesis (R,), those of one photo together.
        output
            Of each photo's words, from `among`; None for all words.
        """
        y = photo[rows]
        y += language
        np.maximum(y, 0, out=y)
        if output is None:
            p = y @ self._output
        else:
            p = np.empty((len(y), output.shape[1]), np.float32)
            bounds = [*np.flatnonzero(np.diff(rows, prepend=-1)).tolist(), len(rows)]
            for first, end in itertools.pairwise(bounds):
                np.dot(y[first:end], output[rows[first]].T, out=p[first:end])
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p *= 1 / p.sum(axis=1, keepdims=True)
        return p


def _sigmoid(x: FloatArray) -> FloatArray:
    # By tanh: it cannot overflow, and NumPy's is vectorised.
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


class _Trie:
    """The prefixes met so far, by number, and what each network made of them."""

    def __init__(self, networks: Sequence[MergeNetwork], capacity: int) -> None:
        # prefix * V + token → prefix. Numbers are given in order, so they are rows of the states.
        self.children: dict[int, int] = {}
        # Of each network h, c (P, U) and the share of the fusion layer (P, F + 1). The root is 0.
        self.states = [
            tuple(
                np.zeros((capacity, n), np.float32)
                for n in (net.units, net.units, net.fusion_units)
            )
            for net in networks
        ]

    def __len__(self) -> int:
        return 1 + len(self.children)

    def reserve(self, size: int) -> None:
        """Have room for `size` prefixes; a batch that outgrows the room at least doubles it."""
        room = len(self.states[0][0])
        if size > room:
            more = max(size - room, room)
            self.states = [
                tuple(np.concatenate([a, np.empty((more, a.shape[1]), np.float32)]) for a in state)
                for state in self.states
            ]


@dataclass(frozen=True, slots=True)
class Photos:
    """A batch of photos on their way through the decoder."""

    shares: tuple[FloatArray, ...]
    """Of each network, the photos' share of the fusion layer (N, F + 1)."""
    outputs: tuple[FloatArray | None, ...]
    """Of each network, the output layer of each photo's words; None where all may be said."""
    trie: _Trie
    """Where the prefixes of this batch are numbered, also when the decoder has begun a new one."""


class MergeDecoder:
    """One merge decoder or several over one vocabulary, which then speak with one voice.

    The probabilities of several are averaged (arithmetic mean) at every step, inside one beam;
    their layers may differ in size. Results do not depend on what was decoded before, but for the
    rounding of float32 products. Not for several threads at once.

    Parameters
    ----------
    networks
        Arrays of each, as `MergeNetwork` takes them.
    memory
        Bytes of prefixes: where these may not last for another batch, it begins with an empty trie.

    Raises
    ------
    ValueError
        Where the networks' vocabularies differ in size.
    """

    def __init__(self, networks: Sequence[Mapping[str, FloatArray]], memory: int = MEMORY) -> None:
        self._networks = [MergeNetwork(arrays) for arrays in networks]
        sizes = {network.vocabulary_size for network in self._networks}
        if len(sizes) != 1:
            raise ValueError("the decoders of an ensemble share one vocabulary")
        self.vocabulary_size = sizes.pop()
        numbers = sum(2 * network.units + network.fusion_units for network in self._networks)
        self._capacity = max(1, memory // (4 * numbers))
        self._trie = _Trie(self._networks, self._capacity)
        self._met = len(self._trie)
        self._most = 0

    def start(self, features: FloatArray, words: IntArray | None = None) -> Photos:
        """Look at photos, once for all steps.

        Parameters
        ----------
        features
            (N, 2048).
        words
            The words that may be said of each (N, K), as tokens; all of the vocabulary for None.
            The product with the output layer is most of the work: few words make it quick.
        """
        # A batch that outgrows the room has all there is copied: so a new one begins in time.
        self._most = max(self._most, len(self._trie) - self._met)
        if len(self._trie) + self._most > self._capacity:
            self._trie = _Trie(self._networks, self._capacity)
        self._met = len(self._trie)
        return Photos(
            tuple(network.see(features) for network in self._networks),
            tuple(None if words is None else network.among(words) for network in self._networks),
            self._trie,
        )

    def step(
        self, photos: Photos, rows: IntArray, prefixes: IntArray, tokens: IntArray
    ) -> tuple[FloatArray, IntArray]:
        """Read one word more in each of R hypotheses.

        Parameters
        ----------
        photos
            What `start` returned.
        rows
            The photo of each hypothesis, as a row of the features (R,); those of one photo
            together.
        prefixes
            What it has said so far (R,): `ROOT`, or what an earlier step returned for it.
        tokens
            The word it says now (R,); START after `ROOT`.

        Returns
        -------
        Probabilities of the word after that, float32 (R, V), or (R, K) where the photos have words
        of their own, an array that the caller may change, and the numbers of the prefixes longer
        by a word (R,).
        """
        prefixes = self._extend(photos.trie, prefixes, tokens)
        p, *others = (
            network.say(share, language[prefixes], rows, output)
            for network, share, output, (_, _, language) in zip(
                self._networks, photos.shares, photos.outputs, photos.trie.states, strict=True
            )
        )
        for other in others:
            p += other
        if others:
            p *= np.float32(1 / len(self._networks))
        return p, prefixes

    def _extend(self, trie: _Trie, prefixes: IntArray, tokens: IntArray) -> IntArray:
        """The numbers of the prefixes longer by a word; those never met before are read now."""
        keys = prefixes * self.vocabulary_size + tokens
        longer = np.array([trie.children.get(key, -1) for key in keys.tolist()], np.intp)
        unknown = longer < 0
        if unknown.any():
            new, place = np.unique(keys[unknown], return_inverse=True)
            met, size = len(trie), len(trie) + len(new)
            trie.reserve(size)
            shorter, tokens = np.divmod(new, self.vocabulary_size)
            before, parents = np.unique(shorter, return_inverse=True)
            for network, (h, c, language) in zip(self._networks, trie.states, strict=True):
                h[met:size], c[met:size], language[met:size] = network.read(
                    h[before], c[before], parents, tokens
                )
            # Last, so that an interrupt leaves no number without its states.
            trie.children.update(zip(new.tolist(), range(met, size), strict=True))
            longer[unknown] = met + place
        return longer
