"""Presets: each is an architecture that can be built, and the command line offers all of them."""

from __future__ import annotations

from typing import get_args

import pytest

from captioner.model import decoders, encoders
from captioner.training.config import DecoderConfig, EncoderName, PresetName, TrainingConfig
from captioner.training.presets import PRESETS, sizes_of


def test_the_command_line_offers_all_of_them() -> None:
    assert get_args(PresetName) == tuple(PRESETS)
    assert set(get_args(EncoderName)) <= set(encoders.names())


def test_every_architecture_has_a_preset_of_its_defaults() -> None:
    defaults = {preset.kind for preset in PRESETS.values() if preset.encoder == "xception"}
    assert defaults == {"merge", "init-inject", "pre-inject", "par-inject", "soft-attention"}
    assert sizes_of("merge", "classic").lstm == 256
    assert sizes_of("par-inject", "classic") == decoders.get("par-inject").Sizes()


def test_several_architectures_are_trained_in_one_run() -> None:
    pytest.importorskip("keras")
    from captioner.training.stages.decoders import architectures

    config = DecoderConfig("merge", "classic", mixed_with=("soft-attention", "base"))
    assert architectures(config) == [
        ("merge", PRESETS["classic"].sizes),
        ("soft-attention", PRESETS["soft-attention"].sizes),
        ("merge", PRESETS["base"].sizes),
    ]
    assert TrainingConfig(decoders=config).options()["--mix"] == ["soft-attention", "base"]


@pytest.mark.parametrize("name", PRESETS)
def test_each_can_be_built(name: str) -> None:
    pytest.importorskip("keras")
    preset = PRESETS[name]
    decoder = decoders.get(preset.kind)
    assert isinstance(preset.sizes, decoder.Sizes) and preset.encoder in encoders.names()
    assert sizes_of(preset.kind, name) is preset.sizes
    network = decoder.network(11, preset.sizes, 8)
    assert network.output_shape == (None, None, 11)
    arrays = decoder.arrays(network)
    assert decoder.stepper(arrays).vocabulary_size == 11
    words = arrays.get("embedding.embeddings", arrays.get("embedding"))
    assert words is not None and words.shape == (11, preset.sizes.embedding)


def test_sizes_of_published_networks() -> None:
    """Trained parameters without the encoder, counted by hand from the papers' code."""
    pytest.importorskip("keras")

    def parameters(name: str, vocabulary: int, feature: int) -> int:
        preset = PRESETS[name]
        network = decoders.get(preset.kind).network(vocabulary, preset.sizes, feature)
        return int(network.count_params())

    def lstm(inputs: int, units: int) -> int:
        return 4 * units * (inputs + units + 1)

    v = 100
    out, words = (512 + 1) * v, 512 * v
    assert parameters("tanti-pre-inject", v, 4096) == words + lstm(512, 512) + 4097 * 512 + out
    both = 2 * 4097 * 512  # h and c
    assert parameters("tanti-init-inject", v, 4096) == words + lstm(512, 512) + both + out
    par = 256 * v + lstm(512, 256) + 4097 * 256 + 257 * v
    assert parameters("tanti-par-inject", v, 4096) == par
    u = 512
    attention = 2048 * 256 + u * 256 + 256 + 256
    first = 2 * 2049 * u
    resnet = 300 * v + lstm(300 + 2048, u) + attention + first + 513 * v
    assert parameters("resnet-attention", v, 2048) == resnet
    merge = 256 * v + lstm(256, 256) + 2049 * 256 + 257 * 256 + 257 * v
    assert parameters("classic", v, 2048) == merge
