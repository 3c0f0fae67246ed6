"""The Python interface: `Captioner.load().caption(["a.jpg"])`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from captioner import model
from captioner.execution import describe
from captioner.model.options import DescribeOptions
from captioner.photos.walk import walk
from captioner.types import Describer, Description, Failure


class Captioner:
    """Captions photos with one model, loaded once.

    Parameters
    ----------
    describer
        The model; `Captioner.load` loads one from a bundle.
    """

    def __init__(self, describer: Describer) -> None:
        self._describer = describer

    @classmethod
    def load(
        cls,
        bundle: str | os.PathLike[str] | None = None,
        *,
        device: Literal["auto", "cpu", "gpu", "keras"] = "auto",
        precision: Literal["int8", "bfloat16", "float32"] = "int8",
        beam_width: int | None = None,
        alternatives: int = 1,
        batch_size: int | None = None,
        keywords: int = 8,
        min_confidence: float | None = None,
    ) -> Captioner:
        """Load a bundle and start the engine that runs its encoder.

        Parameters
        ----------
        bundle
            The bundle's folder. None: `CAPTIONER_MODEL`, or the bundle that ships with captioner.
        device, precision, beam_width, alternatives, batch_size, keywords, min_confidence
            See `captioner.DescribeOptions`.

        Raises
        ------
        CaptionerError
            If the bundle is missing, damaged or too new, or the device is not available.
        """
        return cls(
            model.load(
                DescribeOptions(
                    bundle=None if bundle is None else Path(bundle),
                    device=device,
                    precision=precision,
                    batch_size=batch_size,
                    beam_width=beam_width,
                    alternatives=alternatives,
                    keywords=keywords,
                    min_confidence=min_confidence,
                )
            )
        )

    def caption(
        self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
    ) -> list[Description | Failure]:
        """Describe photos, and the photos in folders.

        Parameters
        ----------
        paths
            Files and folders, or a single one.

        Returns
        -------
        list
            One result per photo, in the order given and sorted within a folder: a `Description`,
            best caption first, or a `Failure` with the reason. A description has no captions if
            none is reliable enough; its `text` is then its keywords.
        """
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        return list(describe(walk(Path(path) for path in paths), self._describer))
