"""Whole bundles that take milliseconds: random weights, twelve words, and no Keras.

Keras is imported for decoders of another kind than merge.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from captioner.model import bundle as bundles
from captioner.model import decoders
from captioner.model.bundle import ENCODER, Bundle
from captioner.model.encoders import Architecture, Layer, TrainedEncoder, xception
from captioner.model.vocabulary import SPECIAL_TOKENS
from captioner.types import FloatArray

FEATURES, HIDDEN, JOINT = 2048, 5, 6
WORDS = ("a", "the", "red", "green", "blue", "wall", "dog", "runs", "is", "on", "two", "big")


def encoder(seed: int, size: int) -> TrainedEncoder:
    """One convolution and a mean, with as many features as Xception."""
    kernel = np.random.default_rng(seed).normal(0, 0.2, (4, 4, 3, FEATURES)).astype(np.float32)
    convolution = {
        "filters": FEATURES, "strides": [4, 4], "dilation_rate": [1, 1], "groups": 1,
        "padding": "valid", "use_bias": False, "activation": "relu",
    }  # fmt: skip
    layers = (
        Layer("photo", "InputLayer", {"dtype": "uint8"}, ()),
        Layer("scale", "Rescaling", {"scale": 1 / 255, "offset": 0.0}, ("photo",)),
        Layer("conv", "Conv2D", convolution, ("scale",)),
        Layer("pool", "GlobalAveragePooling2D", {"keepdims": False}, ("conv",)),
    )
    return TrainedEncoder(
        xception,
        size,
        {"conv.kernel": kernel},
        Architecture(layers, "pool", "conv"),
        {"kind": "xception"},
    )


def network_arrays(
    kind: str, units: int, tokens: int, seed: int
) -> tuple[dict[str, FloatArray], dict[str, Any]]:
    """The weights of a decoder as Keras initialises them, and its sizes."""
    import keras

    decoder = decoders.get(kind)
    names = {field.name for field in fields(decoder.Sizes)}
    layers = names & {"embedding", "lstm", "fusion", "attention"}
    sizes = decoder.Sizes(**dict.fromkeys(layers, units), tied=False)
    keras.utils.set_random_seed(seed)
    return dict(decoder.arrays(decoder.network(tokens, sizes, FEATURES))), asdict(sizes)


def write(
    folder: Path,
    *,
    seed: int = 1,
    encoder_seed: int = 0,
    size: int = 8,
    units: int = 4,
    options: dict[str, Any] | None = None,
    kind: str = "merge",
) -> Bundle:
    """A bundle; it runs with `--precision float32`.

    Parameters
    ----------
    seed
        Of decoder and heads.
    encoder_seed, size
        Of the encoder: bundles with the same ones share it.
    units
        Of the decoder's layers.
    options
        The training options that the manifest records beside the seed; None: nothing is recorded.
    kind
        Of the decoder.
    """
    random = np.random.default_rng(seed)

    def arrays(**shapes: tuple[int, ...]) -> dict[str, FloatArray]:
        return {
            name.replace("_", "."): random.normal(0, 3 * shape[0] ** -0.5, shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    tokens = [*SPECIAL_TOKENS, *WORDS]
    made = encoder(encoder_seed, size)
    decoder = bundles.decoder_file(1)
    if kind == "merge":
        sizes = {"embedding": units, "lstm": units, "fusion": units, "tied": False}
        weights = arrays(
            embedding=(len(tokens), units), lstm_kernel=(units, 4 * units),
            lstm_recurrent=(units, 4 * units), lstm_bias=(4 * units,),
            image_kernel=(FEATURES, units), image_bias=(units,),
            fusion_kernel=(units, units), fusion_bias=(units,),
            output_kernel=(units, len(tokens)), output_bias=(len(tokens),),
        )  # fmt: skip
    else:
        weights, sizes = network_arrays(kind, units, len(tokens), seed)
    training = {} if options is None else {"options": {"seed": seed, **options}, "data": []}
    return bundles.write(
        folder,
        {
            "input": {"size": size},
            "encoder": dict(made.manifest),
            "decoders": [{"kind": kind, "file": decoder, **sizes}],
            "describe": {"beams": 4, "longest": 6, "length_exponent": 0.7, "joint": 1.0,
                         "support": 0.1},
            "confidence": {"cosine": 1.0, "belief": 1.0, "doubt": 0.1, "offset": 0.0, "least": 0.4},
            "search": {"joint_short": 0.5, "joint_long": 0.5},
            "training": training,
        },
        arrays={
            ENCODER: made.weights,
            bundles.WORDS: arrays(
                hidden_kernel=(FEATURES, HIDDEN), hidden_bias=(HIDDEN,),
                stems_kernel=(HIDDEN, len(WORDS)), stems_bias=(len(WORDS),),
                stems_usual=(len(WORDS),),
            ),
            bundles.JOINT: arrays(
                image_kernel=(FEATURES, JOINT), image_bias=(JOINT,),
                text_vectors=(len(WORDS) + 1, JOINT), text_weights=(len(WORDS) + 1,),
                text_bias=(JOINT,),
            ),
            decoder: weights,
        },
        texts={
            **made.texts,
            bundles.VOCABULARY: tokens,
            bundles.LEXICON: {
                "stems": list(WORDS), "surfaces": list(WORDS), "words": ["", *WORDS]
            },
            bundles.CONCEPTS: {"concepts": [], "kinds": []},
        },
    )  # fmt: skip
