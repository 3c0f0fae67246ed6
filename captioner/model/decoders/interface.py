"""What a decoder has to offer: a network for training, and a stepper for beam search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from captioner.types import Features, FloatArray

if TYPE_CHECKING:
    import keras

IntArray = npt.NDArray[np.intp]
States = npt.NDArray[Any]
"""One row for each hypothesis. What a row contains is up to the stepper: the number of a prefix, a
recurrent state, the last words. Search only selects rows."""


class Stepper(Protocol):
    """A decoder at work: next-word probabilities, one word at a time, for many hypotheses at once.

    It takes NumPy arrays and gives NumPy arrays. It need not be safe for several threads at once.
    """

    @property
    def vocabulary_size(self) -> int:
        """Tokens V, special tokens included."""
        ...

    def start(self, features: Features, shortlist: IntArray | None = None) -> tuple[Any, States]:
        """Begin with N photos.

        Parameters
        ----------
        features
            Of the photos; `pooled` is (N, D), `grid` (N, h, w, C) where the encoder has one.
        shortlist
            (N, K): the tokens that may be generated for each photo; None for the whole vocabulary.

        Returns
        -------
        What `step` needs to know of the photos, and the states before the first word, one row for
        each photo.
        """
        ...

    def step(
        self, photos: Any, rows: IntArray, states: States, tokens: IntArray
    ) -> tuple[FloatArray, States]:
        """Append one token to each of R hypotheses.

        Parameters
        ----------
        photos
            From `start`.
        rows
            (R,): the photo of each hypothesis, 0 to N - 1; hypotheses of one photo are adjacent.
        states
            R rows of what `start` or an earlier `step` of the same photos returned.
        tokens
            (R,): the token that each hypothesis is extended by; START first.

        Returns
        -------
        Probabilities of the token after that, float32 (R, V), or (R, K) in the shortlist's order;
        the caller may change the array. And the states with the token appended, R rows.
        """
        ...


class Decoder(Protocol):
    """An architecture that writes captions: usually a module with these names."""

    @property
    def kind(self) -> str:
        """Its name in a bundle's manifest, such as "merge"."""
        ...

    @property
    def needs_grid(self) -> bool:
        """Whether it reads the encoder's feature map instead of the pooled features.

        A module without this name does not.
        """
        ...

    @property
    def Sizes(self) -> type[Any]:  # noqa: N802  a class
        """A frozen dataclass of its layer sizes, with defaults; stored in the manifest."""
        ...

    def network(self, vocabulary_size: int, sizes: Any, feature_size: int) -> keras.Model:
        """The Keras network over whole sentences, for training with teacher forcing.

        Its inputs are `tokens` (N, T) and either `feature` (N, feature_size) or, with `needs_grid`,
        `grid` (N, h, w, feature_size); its output is logits (N, T, vocabulary_size): one row for
        the token after each.
        """
        ...

    def arrays(self, model: keras.Model) -> dict[str, FloatArray]:
        """The network's weights by name, as they are stored in a bundle."""
        ...

    def set_arrays(self, model: keras.Model, arrays: Mapping[str, FloatArray]) -> None:
        """The inverse of `arrays`."""
        ...

    def stepper(self, arrays: Mapping[str, FloatArray]) -> Stepper:
        """A stepper with these weights, without Keras."""
        ...
