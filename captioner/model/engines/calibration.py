"""Calibration for int8: the activation ranges of an encoder on sample photos."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import redirect_stdout

import numpy as np

from captioner.model.encoders import Calibration, TrainedEncoder, digest
from captioner.model.encoders.interface import Arrays
from captioner.model.engines.quantisation import INPUT, OUTPUT, shift_name
from captioner.model.engines.translate import WEIGHTED, translate
from captioner.types import FloatArray, PixelArray

_WEIGHT_BITS = 7  # What NNCF's OverflowFix.ENABLE assumes when it corrects the shifts.


def calibrate_int8(trained: TrainedEncoder, photos: Iterable[PixelArray]) -> Calibration:
    """Find activation ranges and corrected shifts by NNCF's post-training quantisation.

    Weights get 7 bits, so that every CPU computes the same: see `quantise_weights`.

    Parameters
    ----------
    photos
        Training photos, uint8 (size, size, 3) each.

    """
    import nncf

    samples = [photo[None] for photo in photos]
    with redirect_stdout(io.StringIO()):  # NNCF shows progress bars of its own
        model = nncf.quantize(
            translate(trained),
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            # It would move weights between layers, and the bundle holds one set of weights.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_channel_alignment=True, overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    layers = trained.architecture.layers
    shifted = {layer.name for layer in layers if layer.kind in WEIGHTED}
    found: dict[str, FloatArray] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if node.get_type_name() == "FakeQuantize" and (OUTPUT in name or INPUT in name):
            low, high = (node.input_value(port).get_node().data for port in (1, 2))
            found[name] = np.stack([low.ravel(), high.ravel()]).astype(np.float32)
        elif name in shifted:
            shift = node.input_value(1).get_node()
            if shift.get_type_name() == "Convert":  # stored in half precision
                shift = shift.input_value(0).get_node()
            found[shift_name(name)] = shift.data.ravel().astype(np.float32)
    return calibration_of(trained, found)


def calibration_of(trained: TrainedEncoder, activation_ranges: Arrays) -> Calibration:
    """The calibration with activation ranges that `calibrate_int8` has found for an encoder."""
    return Calibration(activation_ranges, _WEIGHT_BITS, digest(trained.weights))
