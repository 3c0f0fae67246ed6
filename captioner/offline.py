"""Offline mode of third-party libraries: no telemetry, no downloads, files in the cache folder.

`import openvino` starts a telemetry client that looks up an analytics host, posts a client id and
writes files into the home folder. It has no setting for importing programs, but OpenVINO and NNCF
work without it if the package `openvino_telemetry` is not installed, so it is made to appear not
installed. The other libraries have environment variables, which child processes inherit.

`captioner.model` and `captioner.training` call `prepare` before they import any of them.
"""

from __future__ import annotations

import os
import sys
from typing import Any, cast

from captioner.app_paths import cache_folder

_BLOCKED = ("openvino_telemetry",)
"""Packages that do nothing but send usage data, beginning when they are imported."""

_NO_USAGE_DATA = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Overwritten if set: captioner sends nothing that it was not asked to send."""

_CACHES = {
    "KERAS_HOME": "keras",
    "MPLCONFIGDIR": "matplotlib",
    "CUDA_CACHE_PATH": "cuda",
    "HF_HUB_CACHE": "huggingface/hub",
    "HF_ASSETS_CACHE": "huggingface/assets",
    "HF_XET_CACHE": "huggingface/xet",
    "HF_DATASETS_CACHE": "huggingface/datasets",
    "HF_MODULES_CACHE": "huggingface/modules",
}
"""From variables to subfolders of the cache folder; variables that are already set stay."""

_HUB_OFFLINE = "HF_HUB_OFFLINE"
_set_here: set[str] = set()


def prepare() -> None:
    """Turn off telemetry and downloads, and set the cache folders. Fast; creates no files."""
    for name in _BLOCKED:
        # None makes the import system raise ModuleNotFoundError.
        sys.modules.setdefault(name, cast(Any, None))
    os.environ.update(_NO_USAGE_DATA)
    cache = cache_folder()
    if cache:  # otherwise the libraries use a temporary folder, or none
        for name, folder in _CACHES.items():
            os.environ.setdefault(name, str(cache.absolute() / folder))
    if _HUB_OFFLINE not in os.environ:
        os.environ[_HUB_OFFLINE] = "1"
        _set_here.add(_HUB_OFFLINE)


def allow_downloads() -> None:
    """Let the Hugging Face client connect, after the user has asked for a download.

    A `HF_HUB_OFFLINE` that the user has set is kept.
    """
    if _HUB_OFFLINE not in _set_here:
        return
    _set_here.discard(_HUB_OFFLINE)
    os.environ.pop(_HUB_OFFLINE, None)
    # The client reads the variable when imported, which may have happened already.
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        vars(constants)[_HUB_OFFLINE] = False
