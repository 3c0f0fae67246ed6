"""Where the encoder's weights come from before it is trained."""

from __future__ import annotations

import pytest
import toy_encoder

from captioner.errors import UsageError
from captioner.model import encoders

pytest.importorskip("keras")
from captioner.training.encoders import starting_encoder


def test_random_weights_of_an_encoder_from_outside_the_package() -> None:
    encoders.register(toy_encoder)
    trained = starting_encoder("random", 48, "toy")
    assert (trained.encoder, trained.size, trained.feature_size) == (toy_encoder, 48, 12)
    assert trained.calibration is None
    with pytest.raises(UsageError, match="no published weights of the encoder toy"):
        starting_encoder("imagenet", 48, "toy")


def test_no_such_encoder() -> None:
    with pytest.raises(UsageError, match="no encoder nonesuch"):
        starting_encoder("random", 96, "nonesuch")
    with pytest.raises(UsageError, match="neither a bundle nor a weights file"):
        starting_encoder("nowhere", 96)
