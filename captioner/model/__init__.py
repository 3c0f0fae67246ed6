"""Pixels to vectors, words and captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from captioner import offline

if TYPE_CHECKING:
    from captioner.model.describer import Model
    from captioner.types import BundleIds

offline.prepare()


def load(
    bundle: Path | None = None,
    *,
    device: str = "auto",
    precision: str = "int8",
    beams: int | None = None,
    alternatives: int = 1,
    batch_size: int | None = None,
    keywords: int = 8,
    min_confidence: float | None = None,
) -> Model:
    """Load a bundle and start an engine for it.

    Parameters
    ----------
    bundle
        Its folder; None takes `CAPTIONER_MODEL`, else the bundle that ships.
    device
        "auto", "cpu" (OpenVINO), "gpu" or "keras" (Keras on whatever its backend has).
    precision
        Of the encoder on OpenVINO: "int8", "bfloat16" or "float32".
    beams
        Sentences kept while searching; None leaves it to the bundle.
    alternatives
        Captions a photo.
    batch_size
        Photos the engine takes at once; None leaves it to the engine.
    keywords
        At most so many a photo.
    min_confidence
        Captions with a lower score, 0 to 1, are left out: a photo may be left with none. None
        takes the bundle's own threshold, 0 leaves out nothing.

    Raises
    ------
    CaptionerError
        Where the bundle is absent, damaged or too new, or the device is not there.
    """
    # The query side of search lives in this package too and must not pay for the engines.
    from captioner.model import describer

    return describer.load(
        bundle,
        device=device,
        precision=precision,
        beams=beams,
        alternatives=alternatives,
        batch_size=batch_size,
        keywords=keywords,
        min_confidence=min_confidence,
    )


def weights(bundle: Path | None = None) -> BundleIds:
    """Tell which weights `load` would load, from `bundle.json` alone.

    Raises
    ------
    CaptionerError
        Where the bundle is absent, damaged or too new.
    """
    from captioner.model.bundle import Bundle
    from captioner.places import bundle_folder
    from captioner.types import BundleIds

    opened = Bundle.open(bundle_folder(bundle))
    return BundleIds(opened.model_id, opened.encoder_id)
