"""Loading a model for a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from captioner.cli import console

if TYPE_CHECKING:
    from captioner.model.describer import Model


def load(
    bundle: Path | None,
    *,
    device: str,
    precision: str,
    batch_size: int | None = None,
    beams: int | None = None,
    alternatives: int = 1,
    min_confidence: float | None = None,
) -> Model:
    """Load a model, as `captioner.model.load` does, and say where it is not quite as asked."""
    from captioner import model as models

    loaded = models.load(
        bundle,
        device=device,
        precision=precision,
        batch_size=batch_size,
        beams=beams,
        alternatives=alternatives,
        min_confidence=min_confidence,
    )
    if precision == "bfloat16" and loaded.engine.name == "OpenVINO float32":
        console.warning("--precision bfloat16: this CPU has none, so it computes with float32.")
    return loaded
