"""The model: pixels to features, and features to captions, keywords and search vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from captioner import offline
from captioner.model.options import DEFAULT_OPTIONS, DescribeOptions

if TYPE_CHECKING:
    from captioner.model.describer import Model
    from captioner.types import BundleIds

__all__ = ["DescribeOptions", "load", "weights"]

offline.prepare()


def load(options: DescribeOptions = DEFAULT_OPTIONS, *, start: bool = True) -> Model:
    """Load a bundle and, with `start`, start the engine that runs its encoder.

    Otherwise the engine is started when it is first needed, perhaps in another process.

    Raises
    ------
    UsageError
        If there is no bundle, the device is not there, or an option makes no sense.
    CaptionerError
        If the bundle is damaged, too new, or has a part of an unknown kind.
    """
    # The query side of search is in this package, too, and must not pay for the engines.
    from captioner.model import describer

    return describer.load(options, start=start)


def weights(bundle: Path | None = None) -> BundleIds:
    """The ids of the bundle that `load` would load, for recaptioning; from `bundle.json` alone.

    Raises
    ------
    CaptionerError
        If the bundle is missing, damaged or too new, or cannot caption from stored features.
    """
    from captioner.app_paths import bundle_folder
    from captioner.model.bundle import Bundle
    from captioner.types import BundleIds

    opened = Bundle.open(bundle_folder(bundle))
    opened.check_recaptioning()
    return BundleIds(opened.model_id, opened.encoder_id)
