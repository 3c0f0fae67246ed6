"""What all tests share."""

from __future__ import annotations

import os
import signal
import sqlite3  # noqa: F401  before TensorFlow: see captioner.model.backend
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# A shell starts what runs in the background with Ctrl-C ignored, nohup whatever it starts with
# SIGHUP ignored, and processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGHUP", "SIGTERM"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

WITHOUT_POSIX = bool(os.environ.get("CAPTIONER_TEST_WITHOUT_POSIX"))
"""Run all tests, and what they start, on a simulated Windows."""

if WITHOUT_POSIX:
    SIMULATION = str(Path(__file__).parent / "support/without_posix")
    sys.path.insert(0, SIMULATION)
    import simulation

    simulation.install()
    os.environ["PYTHONPATH"] = os.pathsep.join([SIMULATION, os.environ.get("PYTHONPATH", "")])
    start = subprocess.Popen.__init__

    def start_simulated(process: Any, *words: Any, **options: Any) -> None:
        if env := options.get("env"):
            paths = env.get("PYTHONPATH", "").split(os.pathsep)
            inside = os.pathsep.join(dict.fromkeys([SIMULATION, *paths]))
            options["env"] = {**env, "PYTHONPATH": inside}
        start(process, *words, **options)

    subprocess.Popen.__init__ = start_simulated  # type: ignore[method-assign]

# Some tests import OpenVINO before captioner, which would have kept it off the network.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is about POSIX itself where that is simulated away."""
    for item in items if WITHOUT_POSIX else ():
        if item.get_closest_marker("posix"):
            item.add_marker(
                pytest.mark.skip(reason="about POSIX itself, or simulates a system by itself")
            )


@pytest.fixture(scope="session")
def photos_folder() -> Path:
    """The folder of real photos: `CAPTIONER_TEST_PHOTOS`, else `../shared/photos`."""
    beside = Path(__file__).resolve().parents[2] / "shared/photos"
    folder = Path(os.environ.get("CAPTIONER_TEST_PHOTOS", beside))
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}: name a folder of them in CAPTIONER_TEST_PHOTOS")
    return folder
