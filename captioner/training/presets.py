"""Presets: decoders with their layer sizes, and the encoder they go with, by name.

docs/lineage.md says where each comes from. What a preset does not say, such as the number of epochs
and the learning rate, is what `captioner train` says for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from captioner.model import decoders
from captioner.model.decoders import init_inject, merge, par_inject, pre_inject, soft_attention


@dataclass(frozen=True, slots=True)
class Preset:
    """An architecture of the whole network."""

    kind: str
    """Of decoder."""
    sizes: Any
    """The `Sizes` of its kind."""
    encoder: str = "xception"
    """Its name in the registry; `--encoder` and `--encoder-kind` replace it."""


def _tanti(sizes: type[Any], units: int, **others: Any) -> Any:
    """As in the authors' runs (github.com/mtanti/where-image2), which had GRUs instead of LSTMs."""
    return sizes(
        embedding=units,
        lstm=units,
        projection=0,
        tied=False,
        unit_length=True,
        **{"image_dropout": 0.0, **others},
    )


PRESETS = {
    "base": Preset("merge", merge.Sizes()),
    "init-inject": Preset("init-inject", init_inject.Sizes()),
    "pre-inject": Preset("pre-inject", pre_inject.Sizes()),
    "par-inject": Preset("par-inject", par_inject.Sizes()),
    "soft-attention": Preset("soft-attention", soft_attention.Sizes()),
    # Published architectures
    "tanti-init-inject": Preset("init-inject", _tanti(init_inject.Sizes, 512), "vgg16"),
    "tanti-pre-inject": Preset("pre-inject", _tanti(pre_inject.Sizes, 512), "vgg16"),
    "tanti-par-inject": Preset(
        "par-inject", _tanti(par_inject.Sizes, 256, image=256, image_dropout=0.5), "vgg16"
    ),
    "show-attend-tell": Preset(
        "soft-attention",
        soft_attention.Sizes(
            embedding=512, lstm=1800, attention=512, tied=False, log_features=False
        ),
        "vgg16",
    ),
    # The projects that captioner grew from
    "classic": Preset("merge", merge.Sizes(embedding=256, lstm=256, fusion=256, tied=False)),
    "vgg-merge": Preset(
        "merge", merge.Sizes(embedding=256, lstm=256, fusion=256, tied=False), "vgg16"
    ),
    "vgg-inject": Preset(
        "init-inject",
        init_inject.Sizes(embedding=256, lstm=256, projection=0, tied=False),
        "vgg16",
    ),
    "resnet-attention": Preset(
        "soft-attention",
        soft_attention.Sizes(
            embedding=300, lstm=512, gate=False, deep_output=False, tied=False,
            log_features=False, regularisation=0.0,
        ),
        "resnet50",
    ),
    "resnet-par-inject": Preset(
        "par-inject",
        par_inject.Sizes(embedding=300, image=300, lstm=512, projection=0, tied=False),
        "resnet50",
    ),
}  # fmt: skip
"""By the names that `--preset` takes (`config.PresetName`)."""


def sizes_of(kind: str, preset: str) -> Any:
    """The layer sizes of a decoder to train: the preset's, or the defaults of another kind."""
    chosen = PRESETS[preset]
    return chosen.sizes if chosen.kind == kind else decoders.get(kind).Sizes()
