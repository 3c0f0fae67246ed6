"""Configuration of a training run: frozen dataclasses, the one home of every default.

The command line takes its defaults from here. A field that an option sets names the option in its
metadata, so that a run can record its options by their names on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal


def _option(default: Any, name: str) -> Any:
    return field(default=default, metadata={"option": name})


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Where the encoder's weights come from, and how far they are fine-tuned."""

    kind: str = _option("xception", "--encoder-kind")
    """The architecture, as the bundle's manifest names it; that of a bundle is the bundle's own."""
    source: str = _option("bundled", "--encoder")
    """"bundled", "imagenet", "random", or the path of a bundle or a Keras weights file."""
    size: int = _option(224, "--size")
    """Input of the finished encoder: width and height, pixels."""
    fine_tune: int = _option(0, "--fine-tune")
    """Blocks to fine-tune, counted from the output; 0 keeps the encoder as it is."""
    fine_tune_epochs: int = _option(5, "--fine-tune-epochs")
    fine_tune_rate: float = _option(1.5e-4, "--fine-tune-rate")
    """Peak learning rate for 32 photos per step; it grows with the square root of their number."""
    batch_size: int | None = _option(None, "--batch-size")
    """Photos per step of fine-tuning; None: what suits the device."""
    fine_tune_size: int = 192
    """Width and height of the augmented photos, pixels."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How the word head and the joint space are trained."""

    epochs: int = _option(12, "--head-epochs")
    learning_rate: float = 1.5e-3
    """Peak learning rate."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Which decoders are trained, how many, and for how long."""

    kind: str = "merge"
    """The architecture, as the bundle's manifest names it."""
    preset: str = _option("base", "--preset")
    """Layer sizes: a key of `captioner.training.presets.PRESETS`. Of a kind that is not the
    preset's they are the defaults."""
    mixed_with: tuple[str, ...] = _option((), "--mix")
    """Further presets, for an ensemble of several architectures; their encoders do not count."""
    count: int = _option(1, "--decoders")
    """Decoders of each architecture, each with its own seed; they form an ensemble where that is
    clearly better."""
    epochs: int = _option(8, "--epochs")
    learning_rate: float = _option(2e-3, "--rate")
    """Peak learning rate."""
    scheduled_sampling: float = _option(0.0, "--scheduled-sampling")
    """Probability, at the end of the run, that a word which a decoder is fed is one of its own."""


PresetName = Literal[
    "base", "init-inject", "pre-inject", "par-inject", "soft-attention",
    "tanti-init-inject", "tanti-pre-inject", "tanti-par-inject", "show-attend-tell",
    "classic", "vgg-merge", "vgg-inject", "resnet-attention", "resnet-par-inject",
]  # fmt: skip
EncoderName = Literal["xception", "vgg16", "resnet50"]
"""Encoders in this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What every training run has."""

    seed: int = _option(1, "--seed")
    extra_weight: float = _option(1.0, "--extra-weight")
    """Sample weight of a photo of the extra data; a photo of the main data has 1."""

    def options(self) -> dict[str, Any]:
        """The value of each command-line option, by its name."""
        return _options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(RunConfig):
    """Configuration of `captioner train`."""

    encoder: EncoderConfig = EncoderConfig()
    heads: HeadConfig = HeadConfig()
    decoders: DecoderConfig = DecoderConfig()
    teacher: str = _option("imagenet", "--teacher")
    """Encoder that the concepts are distilled from: "imagenet", or a Keras weights file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCriticalConfig(RunConfig):
    """Configuration of `captioner train-cider`: self-critical sequence training."""

    bundle: str = _option("", "BUNDLE")
    """The `model_id` of the bundle whose decoders are trained further."""
    epochs: int = _option(4, "--epochs")
    learning_rate: float = _option(5e-5, "--rate")
    """Peak learning rate."""
    samples: int = _option(5, "--samples")
    """Captions sampled per photo."""
    inverse_temperature: float = _option(2.0, "--inverse-temperature")
    """Logits are multiplied by this before sampling: see `captioner.model.beam.sample`. Label
    smoothing leaves every word some probability, and the sum of it spoils sampled sentences."""
    rl_weight: float = _option(0.7, "--rl-weight")
    """Share of the policy gradient in the loss, 0 to 1; the rest is cross-entropy on the reference
    captions."""
    similarity_reward: float = _option(0.0, "--similarity-reward")
    """Weight of the cosine of caption and photo in the joint space, added to CIDEr-D."""
    dropout: float | None = _option(None, "--dropout")
    """None: the rate that the decoders were first trained with."""


def _options(config: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for each in fields(config):
        value = getattr(config, each.name)
        if is_dataclass(value):
            out |= _options(value)
        elif name := each.metadata.get("option"):
            out[name] = list(value) if isinstance(value, tuple) else value  # as JSON has it
    return out
