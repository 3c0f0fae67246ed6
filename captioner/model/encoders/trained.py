"""An encoder with its weights: what the engines run, and what a bundle stores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from captioner.errors import CaptionerError
from captioner.model.bundle import ACTIVATION_RANGES, ARCHITECTURE, ENCODER, Bundle
from captioner.model.destination import MANIFEST
from captioner.model.encoders import registry
from captioner.model.encoders.architecture import Architecture
from captioner.model.encoders.interface import Arrays, Encoder
from captioner.model.encoders.weights import check_weights, digest, get_weights, set_weights

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, slots=True)
class Calibration:
    """What int8 needs besides an encoder's weights: see `captioner.model.engines.calibration`."""

    activation_ranges: Arrays
    weight_bits: int
    """Bits of a weight, 8 or 7."""
    weights_digest: str | None = None
    """`weights.digest` of the weights that it was made for; None if that is not known."""

    @classmethod
    def read(cls, bundle: Bundle) -> Self:
        """The calibration of a bundle; the first bundles have 8 bits, and say nothing."""
        entry = bundle.manifest["encoder"].get("int8", {})
        return cls(
            bundle.arrays(ACTIVATION_RANGES), entry.get("weight_bits", 8), entry.get("weights")
        )

    def manifest(self) -> dict[str, Any]:
        """`encoder.int8` of a bundle's manifest."""
        return {"weight_bits": self.weight_bits, "weights": self.weights_digest}


@dataclass(frozen=True, slots=True)
class TrainedEncoder:
    """An encoder, its weights, and the input size they are used with."""

    encoder: Encoder
    size: int
    """Width and height of its input, pixels."""
    weights: Arrays
    """By layer path."""
    architecture: Architecture
    entry: Mapping[str, Any]
    """Its entry in a bundle's manifest, without the calibration."""
    calibration: Calibration | None = None
    """None if it cannot run in int8."""

    @classmethod
    def of(cls, encoder: Encoder, size: int, weights: Arrays | None = None) -> Self:
        """An encoder with these weights; random ones if None. Imports Keras.

        Raises
        ------
        CaptionerError
            If the weights are of another encoder, or for photos of another size.
        """
        model = encoder.network(size)
        entry = {"kind": encoder.name, "feature_size": encoder.feature_size}
        architecture = Architecture.of(model, getattr(encoder, "grid_layer", None))
        if weights:
            check_weights(model, weights, encoder.name, size)
        return cls(encoder, size, weights or get_weights(model), architecture, entry)

    @classmethod
    def read(cls, bundle: Bundle, *, int8: bool = True) -> Self:
        """The encoder of a bundle, calibrated only for int8. Does not import Keras.

        Raises
        ------
        CaptionerError
            If a file is missing or damaged, or the encoder is of a kind that is not registered.
        """
        kind = _kind(bundle)
        return cls(
            registry.get(kind),
            bundle.size,
            bundle.arrays(ENCODER),
            _architecture(bundle, kind),
            {name: value for name, value in bundle.manifest["encoder"].items() if name != "int8"},
            Calibration.read(bundle) if int8 else None,
        )

    @property
    def manifest(self) -> dict[str, Any]:
        """Its entry in a bundle's manifest."""
        calibration = {"int8": self.calibration.manifest()} if self.calibration else {}
        return {**self.entry, **calibration}

    def is_calibrated(self) -> bool:
        """Whether its calibration was made for its weights."""
        return self.calibration is not None and self.calibration.weights_digest == digest(
            self.weights
        )

    @property
    def feature_size(self) -> int:
        """Length of the pooled features of one photo."""
        return self.encoder.feature_size

    def network(self, size: int | None = None) -> keras.Model:
        """The network in Keras with these weights, for another input size if given."""
        model = self.encoder.network(size or self.size)
        set_weights(model, self.weights)
        return model

    @property
    def arrays(self) -> dict[str, Arrays]:
        """Its safetensors files in a bundle, by name."""
        ranges = self.calibration.activation_ranges if self.calibration else {}
        return {ENCODER: self.weights, ACTIVATION_RANGES: ranges}

    @property
    def texts(self) -> dict[str, Any]:
        """Its JSON files in a bundle, by name."""
        return {ARCHITECTURE: self.architecture.to_json()}


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """The encoder of a bundle, of which nothing is read yet but the manifest."""

    bundle: Bundle
    int8: bool = True
    """Whether to read its calibration."""

    @property
    def digest(self) -> str:
        """Digest of all that its features follow from, by the checksums in the manifest.

        Raises
        ------
        CaptionerError
            If the encoder is of a kind that is not registered.
        """
        kind = _kind(self.bundle)
        total = hashlib.sha256(self.bundle.encoder_id.encode())
        stored = self.bundle.manifest["files"].get(ARCHITECTURE)
        total.update(stored.encode() if stored else packaged_architecture(kind).read_bytes())
        return total.hexdigest()

    def read(self) -> TrainedEncoder:
        """Read its files; raises as `TrainedEncoder.read`."""
        return TrainedEncoder.read(self.bundle, int8=self.int8)


def _kind(bundle: Bundle) -> str:
    """The name of a bundle's encoder in the registry."""
    kind: str = bundle.manifest.get("encoder", {}).get("kind")
    if kind not in registry.names():
        raise CaptionerError(
            f"{bundle.folder / MANIFEST} names the encoder {kind}, which is not registered.",
            f"Import the module that registers it, or use a bundle with another encoder: "
            f"{', '.join(registry.names())}.",
        )
    return kind


def _architecture(bundle: Bundle, kind: str) -> Architecture:
    """From the bundle, or, as the first bundles hold none, from this package."""
    try:
        if ARCHITECTURE in bundle.manifest["files"]:
            file = bundle.folder / ARCHITECTURE
            return Architecture.from_json(bundle.json(ARCHITECTURE))
        file = packaged_architecture(kind)
        return Architecture.from_json(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaptionerError(
            f"{file} holds no architecture of the encoder {kind}: {error}.",
            "Reinstall captioner, or make the bundle again with `captioner train`.",
        ) from error


def packaged_architecture(kind: str) -> Path:
    """The file in this package with the architecture of an encoder that comes with it."""
    return Path(__file__).with_name(f"{kind}.json")
