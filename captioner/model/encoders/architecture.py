"""The architecture of an encoder as plain data: Keras layers, their settings and connections.

Keras calls what `model.to_json()` writes the architecture. This is that, reduced to what decides
the output at inference, so that other engines can build the network without Keras. The input size
is not part of it: the bundle's manifest states it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from captioner.errors import CaptionerError

if TYPE_CHECKING:
    import keras

# Settings that say how a layer is trained, or that this format states elsewhere.
_TRAINING = ("_initializer", "_regularizer", "_constraint")
_LEFT_OUT = {
    "name", "trainable", "dtype", "batch_shape", "sparse", "ragged", "optional", "momentum",
    "synchronized", "renorm", "renorm_clipping", "renorm_momentum", "rate", "seed", "noise_shape",
}  # fmt: skip
_WHOLE_MAP = {"Flatten", "Reshape"}
_GLOBAL_POOLING = {"GlobalAveragePooling2D", "GlobalMaxPooling2D"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One Keras layer, applied once."""

    name: str
    kind: str
    """Its class in Keras: "Conv2D"."""
    config: Mapping[str, Any]
    """Its `get_config`, without settings that only training needs."""
    inputs: tuple[str, ...]
    """The layers whose outputs it takes."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A functional Keras model without its weights."""

    layers: tuple[Layer, ...]
    """Each after the layers it takes its inputs from."""
    pooled: str
    """The layer whose output is the pooled features (N, D)."""
    grid: str | None = None
    """The layer whose output is the last feature map (N, h, w, C)."""

    @classmethod
    def of(cls, model: keras.Model, grid: str | None = None) -> Self:
        """Read the architecture of a functional Keras model with one input and one output.

        Parameters
        ----------
        grid
            The layer whose output is the feature map. None: what the last global pooling reads.

        Raises
        ------
        CaptionerError
            If it is another kind of model.
        """
        try:
            config = model.get_config()
            layers = tuple(_layer(each) for each in config["layers"])
            (pooled,) = _sources(config["output_layers"], history=True)
        except (KeyError, TypeError, ValueError, NotImplementedError) as error:
            raise CaptionerError(
                f"the network {model.name} has no architecture that can be written down: {error}.",
                "Build it with Keras' functional API: one input, one output, no layer used twice.",
            ) from error
        maps = [layer.inputs[0] for layer in layers if layer.kind in _GLOBAL_POOLING]
        return cls(layers, pooled, grid or (maps[-1] if maps else None))

    @property
    def any_size(self) -> bool:
        """Whether the same weights fit photos of any size: no layer reads a whole map at once."""
        return not any(layer.kind in _WHOLE_MAP for layer in self.layers)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` made.

        Raises
        ------
        KeyError, TypeError
            If it is something else.
        """
        layers = tuple(
            Layer(each["name"], each["kind"], each["config"], tuple(each["inputs"]))
            for each in content["layers"]
        )
        return cls(layers, content["pooled"], content["grid"])

    def to_json(self) -> dict[str, Any]:
        """Content of a JSON file."""
        return asdict(self)


def _layer(config: Mapping[str, Any]) -> Layer:
    name, nodes = config["name"], config["inbound_nodes"]
    if len(nodes) > 1:
        raise ValueError(f"layer {name} is used {len(nodes)} times")
    inputs = tuple(_sources(nodes))
    own = config["module"].startswith("keras.layers")
    kind = config["class_name"] if own else f"{config['module']}.{config['class_name']}"
    settings = {
        key: _plain(value)
        for key, value in config["config"].items()
        if value is not None and key not in _LEFT_OUT and not key.endswith(_TRAINING)
    }
    if settings.get("data_format") == "channels_last":
        del settings["data_format"]
    if kind == "InputLayer":
        settings["dtype"] = config["config"]["dtype"]
    return Layer(name, kind, settings, inputs)


def _plain(value: Any) -> Any:
    """A setting as JSON has it; of a function its name."""
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        return value["config"]
    return list(value) if isinstance(value, tuple) else value


def _sources(value: Any, *, history: bool = False) -> Iterator[str]:
    """Names of the layers whose outputs appear in a nested structure of Keras' configuration."""
    if history and isinstance(value, list | tuple) and value and isinstance(value[0], str):
        yield value[0]
    elif isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"][0]
        else:
            for each in value.values():
                yield from _sources(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _sources(each, history=history)
