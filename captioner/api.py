"""The Python interface: `Captioner.load().caption(["a.jpg"])`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from captioner import model
from captioner.model.options import DescribeOptions
from captioner.photos.walk import walk
from captioner.pipeline import describe
from captioner.types import Describer, Description, Failure


class Captioner:
    """Describes photos with one model, loaded once.

    Parameters
    ----------
    describer
        The model; `Captioner.load` makes it from a bundle.
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
        beams: int | None = None,
        alternatives: int = 1,
        batch_size: int | None = None,
        keywords: int = 8,
        min_confidence: float | None = None,
    ) -> Captioner:
        """Load a bundle and the engine that runs it.

        Parameters
        ----------
        bundle
            Its folder; None takes `CAPTIONER_MODEL`, else the bundle that ships.
        device
            "auto" takes a GPU that Keras can use, else the CPU; "keras" runs Keras on either.
        precision
            Of the encoder on a CPU.
        beams
            Sentences kept while searching for the best; None leaves it to the bundle.
        alternatives
            Captions of each photo.
        batch_size
            Photos the engine takes at once; None leaves it to the engine.
        keywords
            At most so many for each photo.
        min_confidence
            Captions with a lower score, 0 to 1, are left out: a photo may be left with keywords
            alone. None leaves it to the bundle; 0 leaves out nothing.

        Raises
        ------
        CaptionerError
            Where the bundle is absent, damaged or too new, or the device is not there.
        """
        return cls(
            model.load(
                DescribeOptions(
                    bundle=None if bundle is None else Path(bundle),
                    device=device,
                    precision=precision,
                    batch_size=batch_size,
                    beam_width=beams,
                    alternatives=alternatives,
                    keywords=keywords,
                    min_confidence=min_confidence,
                )
            )
        )

    def caption(
        self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
    ) -> list[Description | Failure]:
        """Describe photos, and those found in folders.

        Parameters
        ----------
        paths
            Files and folders, or a single one.

        Returns
        -------
        list
            For each photo its `Description`, best caption first, or the `Failure` that says why
            there is none, in the order given, and sorted within a folder. A description whose
            sentences are not to be trusted has no captions; its `text` is its keywords then.
        """
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        return list(describe(walk(Path(path) for path in paths), self._describer))
