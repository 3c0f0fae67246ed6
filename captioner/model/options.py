"""How photos are described: one set of options from the command line and the API to the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "gpu", "keras"]
Precision = Literal["int8", "bfloat16", "float32"]

DEFAULT_KEYWORDS = 8

FEW_PHOTOS = 4
"""On the CPU, up to so many are encoded one at a time: filling a batch up would take longer."""


@dataclass(frozen=True, slots=True)
class DescribeOptions:
    """Which bundle runs on which device, and what it returns for each photo.

    Parameters
    ----------
    bundle
        The bundle's folder. None: `CAPTIONER_MODEL`, or the bundle that ships with captioner.
    device
        "cpu" runs the encoder on OpenVINO, "gpu" and "keras" on Keras; "auto" takes a GPU if the
        Keras backend has one, and the CPU otherwise.
    precision
        CPU arithmetic of the encoder.
    batch_size
        Photos per batch. None: what suits the device and the number of photos.
    photos
        How many photos there are to describe, at most. None: not known.
    beam_width
        Hypotheses per photo during beam search. None: the bundle's own.
    alternatives
        Captions per photo, at most.
    keywords
        Keywords per photo, at most.
    min_confidence
        Captions with a lower confidence, 0 to 1, are left out; 0 keeps all of them. None: the
        bundle's own threshold.
    """

    bundle: Path | None = None
    device: Device = "auto"
    precision: Precision = "int8"
    batch_size: int | None = None
    photos: int | None = None
    beam_width: int | None = None
    alternatives: int = 1
    keywords: int = DEFAULT_KEYWORDS
    min_confidence: float | None = None


DEFAULT_OPTIONS = DescribeOptions()
