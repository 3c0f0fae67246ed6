"""The interface of image encoders: a network from pixels to features, and its properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from captioner.types import FloatArray

if TYPE_CHECKING:
    import keras

Arrays = dict[str, FloatArray]


class Encoder(Protocol):
    """An architecture that computes features of photos: usually a module with these names.

    It must not import Keras outside its functions: bundles run on OpenVINO without it.
    """

    @property
    def name(self) -> str:
        """Its kind in a bundle's manifest, such as "xception"."""
        ...

    @property
    def feature_size(self) -> int:
        """Length D of the pooled features of one photo."""
        ...

    @property
    def stages(self) -> Mapping[str, tuple[str, ...]]:
        """Parts of the network that are fine-tuned together, first to last, by name.

        Of each the prefixes of its layers' names: "block1" matches `block1` and `block1_...`,
        not for `block10`.
        """
        ...

    def grid_shape(self, size: int) -> tuple[int, int, int] | None:
        """Height, width and channels of the last feature map for photos of `size` pixels a side.

        None if there is no such map.
        """
        ...

    def network(self, size: int) -> keras.Model:
        """Build the network, with random weights.

        Returns
        -------
        A functional model, without nested models, from uint8 pixels (N, size, size, 3) to pooled
        features (N, D) in float32. Preprocessing is part of it. Its layers have fixed names, as
        weights are named after them. The feature map is what its global pooling reads, unless the
        encoder has a `grid_layer`, the name of the layer that computes it.
        """
        ...


@runtime_checkable
class Pretrained(Protocol):
    """An encoder with published weights, such as those trained on ImageNet."""

    def published_weights(self, source: str) -> Arrays:
        """Published weights by layer path.

        Parameters
        ----------
        source
            "imagenet": Keras downloads them. Otherwise the path of a Keras weights file.
        """
        ...
